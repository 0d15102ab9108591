"""No field of a message, of credentials or of the directory can smuggle a header line into what we send."""

import contextlib

import pytest

from sip_proxy.core.directory import Directory
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import CallRecorded, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import DOMAIN, Exchange, Phone, account, make_directory

# Every disguise in which some program takes it for the end of a line. (CRLF itself simply ends a line of the
# sender's own message: what follows is a header like others, that he may send.)
BREAKS = {
    "LF": "\n",
    "CR": "\r",
    "folded": "\r\n ",
    "escaped": "%0d%0a",
    "quoted pair": "\\\r\\\n",
    "NEL": "\x85",
    "line separator": "\u2028",
    "vertical tab": "\x0b",
    "NUL": "\0",
}
INJECTED = "X-Injected: yes"


def check_sends(exchange: Exchange) -> None:
    """No message that went out has the line, however its receiver ends lines; and all of them are SIP."""
    for output in exchange.outputs:
        if isinstance(output, Send):
            parse_message(output.data)
            for line in output.data.replace(b"\r", b"\n").split(b"\n"):
                assert not line.startswith(INJECTED.encode()), output.data


class Attacker(Phone):
    """A phone that is told what was wrong with its messages in its own broken words."""

    def take(self, data: bytes) -> None:
        message = parse_message(data)
        with contextlib.suppress(MalformedMessage):
            message.check()
        self.inbox.append(message)


def attacker(exchange: Exchange) -> Attacker:
    phone = Attacker(exchange, "0001")
    exchange.phones[phone.key] = phone
    phone.register()
    return phone


@pytest.fixture(params=BREAKS.values(), ids=BREAKS)
def poison(request: pytest.FixtureRequest) -> str:
    return f"a{request.param}{INJECTED}"


FIELDS = {
    "display name of From": ('From: "Phone"', 'From: "{}"'),
    "user of From": ("<sip:0001@", "<sip:0001{}@"),
    "tag of From": (";tag=", ";tag={}"),
    "Call-ID": ("Call-ID: ", "Call-ID: {}"),
    "branch": ("branch=", "branch=z9hG4bK{}"),
    "sent-by": (";rport", ";rport;x={}"),
    "Contact": ("Contact: <sip:", "Contact: <sip:{}"),
    "display name of To": ("To: ", 'To: "{}" '),
    "Request-URI": ("sip:0002@", "sip:0002{}@"),
    "User-Agent": ("Max-Forwards: 70", "Max-Forwards: 70\r\nUser-Agent: {}"),
    "Subject": ("Max-Forwards: 70", "Max-Forwards: 70\r\nSubject: {}"),
    "Max-Forwards": ("Max-Forwards: 70", "Max-Forwards: {}"),
    "Proxy-Require": ("Max-Forwards: 70", "Max-Forwards: 70\r\nProxy-Require: {}"),
    "Route": ("Max-Forwards: 70", "Max-Forwards: 70\r\nRoute: <sip:{};lr>"),
    "Reason": ("Max-Forwards: 70", 'Max-Forwards: 70\r\nReason: SIP;text="{}"'),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REGISTER"])
def test_from_any_field_of_a_request(field: str, method: str, poison: str) -> None:
    exchange = Exchange()
    alice = attacker(exchange)
    exchange.phone("0002")
    exchange.outputs.clear()
    place, put = FIELDS[field]
    request = alice.build(
        method, f"sip:0002@{DOMAIN}", to=f"<sip:0002@{DOMAIN}>", call_id="injection", from_tag="f", cseq=1
    ).decode()
    _authenticated(alice, request.replace(place, put.format(poison), 1), method)
    exchange.advance(200.0)

    check_sends(exchange)


def _authenticated(phone: Phone, request: str, method: str) -> None:
    """Send a request as it is, and once more with credentials if it is challenged."""
    phone.inbox.clear()
    phone.send(request.encode("utf-8", "surrogateescape"))
    challenged = [one for one in phone.responses() if one.status in {401, 407}]
    if challenged:
        uri = request.split(" ")[1]
        line = phone.credentials(challenged[-1], method, uri)
        again = request.replace("Max-Forwards", f"{line}\r\nMax-Forwards", 1)
        phone.send(again.replace("branch=z9hG4bK", "branch=z9hG4bKx", 1).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("place", ["username", "nonce", "uri", "response", "cnonce", "opaque"])
def test_from_any_part_of_credentials(place: str, poison: str) -> None:
    exchange = Exchange()
    alice = attacker(exchange)
    exchange.outputs.clear()
    line = alice.credentials_for(
        "n", "MESSAGE", f"sip:0002@{DOMAIN}", password="x", username="0001", nonce_count=1
    )
    line += ', opaque="o"'
    request = alice.build(
        "MESSAGE",
        f"sip:0002@{DOMAIN}",
        to=f"<sip:0002@{DOMAIN}>",
        call_id="credentials",
        from_tag="f",
        cseq=1,
        headers=(line.replace(f'{place}="', f'{place}="{poison}', 1),),
    )
    alice.send(request)

    check_sends(exchange)
    for event in exchange.security_events:
        assert "\n" not in event.detail + event.number
        assert "\r" not in event.detail + event.number


def test_from_a_display_name_of_the_directory(poison: str) -> None:
    """Billing should refuse such names; P-Asserted-Identity must not depend on it."""
    directory: Directory = make_directory(account("0001", display_name=poison), account("0002"))
    exchange = Exchange(directory)
    alice, bob = exchange.phone("0001"), exchange.phone("0002")
    alice.invite("0002")

    assert bob.request("INVITE")
    check_sends(exchange)


def test_from_the_reason_phrase_of_a_callee(poison: str) -> None:
    exchange = Exchange()
    alice, bob = attacker(exchange), exchange.phone("0002")
    alice.invite("0002")
    answer = bob.answer(bob.request("INVITE"), 486).decode()
    bob.send(answer.replace("SIP/2.0 486 Busy Here", f"SIP/2.0 486 {poison}").encode())
    exchange.advance(200.0)

    check_sends(exchange)
    for output in exchange.outputs:
        if isinstance(output, CallRecorded):
            assert "\n" not in output.record.reason
            assert "\r" not in output.record.reason


def test_nothing_of_a_call_reaches_the_other_side_through_a_bye() -> None:
    call = AnsweredCall()
    call.exchange.outputs.clear()
    call.exchange.engine.end_all_calls(call.exchange.now)
    call.exchange.deliver()

    check_sends(call.exchange)
