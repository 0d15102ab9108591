"""The short path of REGISTER does as the way of all requests does.

Two exchanges hear the same phones. In what the second one hears the name of a header is spelled in a way that
only the parser of all messages takes; so it never takes the short path, and must come to the same.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sip_proxy.core.directory import AccountState
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.message import Message
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import Output, Send
from sip_proxy.core.registrar.short_path import ShortPath
from tests.support.examples import examples
from tests.support.sip_phones import DOMAIN, EXCHANGE, Exchange, account, make_directory, password_of

DIRECTORY = make_directory(
    account("0001"), account("0002"), account("0003", state=AccountState.CLOSED), account("0004")
)
HOSTS = ("203.0.113.7", "203.0.113.8")


@dataclass(frozen=True)
class Step:
    """What a phone does next, and what is odd about it."""

    number: str = "0001"
    user: str = ""
    host: str = HOSTS[0]
    wait_s: float = 1.0
    cseq_step: int = 1
    call_id: str = "a"
    contact: str = "<sip:{number}@203.0.113.7:5060>"
    expires: str = "Expires: 600\r\n"
    via: str = "203.0.113.7:5060;rport;branch=z9hG4bK{serial}"
    user_agent: str = "User-Agent: Desk phone\r\n"
    uri: str = f"sip:{DOMAIN}"
    signed_uri: str = ""
    password: str = ""
    credentials: str = "last"  # "none", or with the nonce of the "last" challenge, or with a "foreign" one
    repeats: int = 1


def usually(usual: str, *unusual: str) -> st.SearchStrategy[str]:
    """Mostly the same: a message with many oddities would never get far."""
    return st.sampled_from((*(4 * [usual]), *unusual))


STEPS = st.builds(
    Step,
    number=usually("0001", "0002", "0003", "0009"),
    user=usually("", "0002", "0009"),
    host=usually(*HOSTS),
    wait_s=st.sampled_from([0.5, 40.0, 280.0, 400.0]),
    cseq_step=st.sampled_from([1, 1, 1, 0, -1]),
    call_id=usually("a", "b"),
    contact=usually(
        "<sip:{number}@203.0.113.7:5060>",
        "<sip:{number}@203.0.113.8:5060>;expires=90",
        "<sip:{number}@203.0.113.7:5060;ob>",
        f"<sip:{{number}}@{EXCHANGE[0]}:5060>",
        "<sip:{number}@203.0.113.7:5060>;expires=0",
        "<sip:{number}@203.0.113.7:5060>;q=0.3",
        "<sip:{number}@203.0.113.7:65536>",
        "*",
    ),
    expires=usually("Expires: 600\r\n", "", "Expires: 0\r\n", "Expires: 10\r\n", "Expires: 99999\r\n"),
    via=usually(
        "203.0.113.7:5060;rport;branch=z9hG4bK{serial}",
        "203.0.113.7:5060;branch=z9hG4bK{serial};rport",
        "203.0.113.7:5060;branch=z9hG4bK{serial}",
        "10.0.0.1:5060;branch=z9hG4bK{serial}",
        "phone.example:7000;branch=z9hG4bK{serial}",
        "phone.example:7000;rport;branch=z9hG4bK{serial}",
        "203.0.113.7:65536;rport;branch=z9hG4bK{serial}",
    ),
    user_agent=usually(
        "User-Agent: Desk phone\r\n", "", "User-Agent: baresip v1\r\n", "User-Agent: sipcli\r\n"
    ),
    uri=usually(f"sip:{DOMAIN}", "sip:elsewhere.example", f"sip:{EXCHANGE[0]}:5060"),
    signed_uri=usually("", "sip:elsewhere.example"),
    password=usually("", "wrong"),
    credentials=st.sampled_from(["none", "last", "last", "last", "foreign"]),
    repeats=st.sampled_from([1, 1, 2]),
)


class Listener:
    """An exchange, and the phones that talk to it."""

    def __init__(self, *, spelling: str) -> None:
        self.exchange = Exchange(directory=DIRECTORY)
        self.spelling = spelling
        self.cseq = 10
        self.nonce = ""
        self.uses = 0
        self.serial = 0

    def hear(self, step: Step) -> list[object]:
        """Let the exchange hear a step; return what comes of it."""
        self.exchange.now += step.wait_s
        self.cseq += step.cseq_step
        self.serial += 1
        data = self._message(step).replace("Call-ID: ", self.spelling).encode()
        flow = Flow(Transport.UDP, (step.host, 5060), EXCHANGE)
        seen: list[object] = []
        for _ in range(step.repeats):
            self.exchange.engine.expire(self.exchange.now)
            self.exchange.engine.receive(data, flow, self.exchange.now)
            seen += [self._seen(output) for output in self.exchange.engine.take_outputs()]
        seen.append(sorted(self.exchange.engine.registrations()))
        return seen

    def _message(self, step: Step) -> str:
        return (
            f"REGISTER {step.uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {step.via.format(serial=self.serial)}\r\n"
            f"From: <sip:{step.number}@{DOMAIN}>;tag=f\r\nTo: <sip:{step.number}@{DOMAIN}>\r\n"
            f"Call-ID: {step.call_id}\r\nCSeq: {self.cseq} REGISTER\r\n"
            f"Contact: {step.contact.format(number=step.number)}\r\n"
            f"{step.expires}{step.user_agent}{self._authorization(step)}Content-Length: 0\r\n\r\n"
        )

    def _authorization(self, step: Step) -> str:
        if step.credentials == "none":
            return ""
        nonce = self.nonce if step.credentials == "last" else "AAAA"
        user, uri = step.user or step.number, step.signed_uri or step.uri
        self.uses += 1
        ha1 = _md5(f"{user}:{DOMAIN}:{step.password or password_of(user)}")
        proof = _md5(f"{ha1}:{nonce}:{self.uses:08x}:c:auth:{_md5(f'REGISTER:{uri}')}")
        return (
            f'Authorization: Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
            f'response="{proof}", algorithm=MD5, cnonce="c", nc={self.uses:08x}, qop=auth\r\n'
        )

    def _seen(self, output: Output) -> object:
        if not isinstance(output, Send):
            return output
        message = parse_message(output.data)
        for challenge in message.line_values("www-authenticate"):
            self.nonce, self.uses = challenge.partition('nonce="')[2].partition('"')[0], 0
        return output.to, output.after_journal, message.lines[0], _headers(message), message.body


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _headers(message: Message) -> list[tuple[str, str]]:
    pairs = zip(message.keys[1:], message.lines[1:], strict=True)
    return sorted((key, line.partition(":")[2].strip()) for key, line in pairs)


@contextmanager
def _counting_short_cuts() -> Iterator[list[bool]]:
    """See which messages the short path took."""
    taken: list[bool] = []
    original = ShortPath.take

    def take(self: ShortPath, data: bytes, flow: Flow, now: float) -> bool:
        taken.append(original(self, data, flow, now))
        return taken[-1]

    ShortPath.take = take  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        ShortPath.take = original  # type: ignore[method-assign]


@given(st.lists(STEPS, min_size=2, max_size=8))
@settings(max_examples=examples(80), deadline=None)
def test_both_ways_come_to_the_same(steps: list[Step]) -> None:
    usual, unusual = Listener(spelling="Call-ID: "), Listener(spelling="call-id: ")
    for step in steps:
        with _counting_short_cuts() as taken:
            heard = usual.hear(step)
        event("short" if any(taken) else "long")
        with _counting_short_cuts() as taken:
            assert unusual.hear(step) == heard
        assert not any(taken)


@pytest.mark.interpreted
def test_registration_refresh_and_their_copies_take_the_short_path() -> None:
    usual, unusual = Listener(spelling="Call-ID: "), Listener(spelling="call-id: ")
    ordinary = Step(repeats=2)
    for step in (replace(ordinary, credentials="none"), ordinary, ordinary, replace(ordinary, call_id="b")):
        with _counting_short_cuts() as taken:
            heard = usual.hear(step)
        # The challenge is not given here, but to all requests alike (`core/strangers.py`).
        assert taken == ([] if step.credentials == "none" else [True, True])
        assert unusual.hear(step) == heard
    [registration] = usual.exchange.engine.registrations()
    assert registration.contact == "sip:0001@203.0.113.7:5060"
