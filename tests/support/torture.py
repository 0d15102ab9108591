"""The exchange that the torture messages of RFC 4475 and RFC 5118 are thrown at.

It serves the domain that a message is addressed to, knows the number it is from and the one it is for, and
has a phone registered for that one: so a message that is right goes all the way.
"""

import hashlib
import re
from pathlib import Path

from sip_proxy.core.directory import Account, AccountState, Directory
from sip_proxy.core.engine import Engine, EngineConfig
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Message, Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.shape import Shape
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.outputs import Send
from sip_proxy.core.registrar.binding import Binding, save_bindings
from tests.support.sip_phones import seeded_random

MESSAGES = Path(__file__).parents[1] / "data" / "torture"
LOCAL = ("192.0.2.200", 5060)
SENDER = ("203.0.113.9", 5060)
PHONE = Flow(Transport.UDP, ("203.0.113.10", 5060), LOCAL)
CONTACT = "sip:callee@203.0.113.10:5060"
NOW = 1000.0


def read(name: str) -> bytes:
    """The message with this name, such as rfc4475/wsinv."""
    return (MESSAGES / f"{name}.sip").read_bytes()


class TortureExchange:
    """An exchange for one message."""

    def __init__(self, data: bytes) -> None:
        message = parse(data)
        self.uri = _uri(message.uri) if isinstance(message, Request) else None
        is_register = isinstance(message, Request) and message.method == "REGISTER"
        served = _uri_in(message, "to") if is_register else self.uri
        self.domain = served.address if served is not None else "example.com"
        self.caller = _number(message, "from")
        numbers = {self.caller, self.uri.number if self.uri is not None else ""}
        config = EngineConfig(
            domain=self.domain,
            local_addresses=frozenset({LOCAL, *self._addressed()}),
            listening={Transport.UDP: LOCAL, Transport.TCP: LOCAL},
            nonce_secret=b"0123456789abcdef",
        )
        directory = Directory(1, accounts={number: self._account(number) for number in numbers})
        self.engine = Engine(config=config, directory=directory, random_bytes=seeded_random())
        if self.uri is not None:
            binding = Binding(
                contact=CONTACT, flow=PHONE, is_direct=False, call_id="r", cseq=1, q=1000, registered_at=0,
                expires_at=NOW + 999, user_agent="",
            )  # fmt: skip
            self.engine.restore_bindings(self.uri.number, save_bindings((binding,), 0.0), NOW)
        via = re.search(rb"(?im)^v(?:ia)?\s*:\s*SIP\s*/\s*2.0\s*/\s*TCP", data)
        is_stream = via is not None
        self.flow = Flow(Transport.TCP if is_stream else Transport.UDP, SENDER, LOCAL, int(is_stream))

    def _addressed(self) -> list[tuple[str, int]]:
        """Our own address, when the message is addressed to one instead of a domain."""
        return [(self.uri.address, 5060)] if self.uri is not None and self.uri.host.startswith("[") else []

    def _account(self, number: str) -> Account:
        ha1 = f"{number}:{self.domain}:secret".encode("utf-8", "surrogateescape")
        return Account(
            number,
            AccountState.ACTIVE,
            "Torture",
            hashlib.md5(ha1).hexdigest(),
            hashlib.sha256(ha1).hexdigest(),
        )

    def take(self, data: bytes) -> tuple[list[int], list[Request]]:
        """Give it the message; return what the sender was answered, and what the phone got."""
        self.engine.receive(data, self.flow, NOW)
        answers, relayed = [], []
        for output in self.engine.take_outputs():
            if isinstance(output, Send):
                message = parse(output.data)
                if isinstance(output.to, Flow) and output.to.remote[0] == SENDER[0]:
                    assert isinstance(message, Response)
                    self.last_answer = message
                    answers.append(message.status)
                else:
                    assert output.to == PHONE
                    assert isinstance(message, Request)
                    relayed.append(message)
        return answers, relayed

    def take_with_credentials(self, data: bytes) -> tuple[list[int], list[Request]]:
        """Give it the message again, as its sender would after the challenge."""
        request = parse(data)
        assert isinstance(request, Request)
        is_register = self.last_answer.status == 401
        values = self.last_answer.line_values("www-authenticate" if is_register else "proxy-authenticate")
        nonce = re.findall('nonce="([^"]*)"', next(value for value in values if "MD5" in value))[0]

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        ha1 = md5(f"{self.caller}:{self.domain}:secret")
        response = md5(f"{ha1}:{nonce}:00000001:c:auth:{md5(f'{request.method}:{request.uri}')}")
        name = "Authorization" if is_register else "Proxy-Authorization"
        line = (
            f'{name}: Digest username="{self.caller}", realm="{self.domain}", nonce="{nonce}", '
            f'uri="{request.uri}", response="{response}", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
        )
        head, _, body = data.partition(b"\r\n\r\n")
        return self.take(head + b"\r\n" + line.encode() + b"\r\n\r\n" + body)


def parse(data: bytes) -> Message:
    """Parse a message, however broken; one that is none at all gives an empty response."""
    try:
        return parse_message(data)
    except MalformedMessage:
        return Response(0, "", [""], Shape(("",)), b"")


def _uri(text: str) -> Uri | None:
    try:
        return parse_uri(text)
    except MalformedMessage:
        return None


def _uri_in(message: Message, key: str) -> Uri | None:
    match = re.search(r"sips?:[^\s<>;]+", message.first(key) or "")
    return _uri(match.group()) if match is not None else None


def _number(message: Message, key: str) -> str:
    uri = _uri_in(message, key)
    return "" if uri is None else uri.number
