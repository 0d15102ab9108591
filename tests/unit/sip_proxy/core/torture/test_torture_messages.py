"""Every message of RFC 4475 and RFC 5118 does what the RFC says that it must.

RELAYED messages are challenged, come again with credentials, and reach the callee's phone unchanged.
REGISTERED ones are challenged and then bind. REFUSED ones have the status that the RFC names, before anybody
was asked for a password, DROPPED ones have no answer at all. The other entries say what they are.
"""

from enum import Enum
from typing import NamedTuple

import pytest

from sip_proxy.core.flow import Flow
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.framing import StreamFramer
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.uri import parse_uri
from sip_proxy.core.outputs import SecurityEvent, Send
from tests.support.torture import CONTACT, MESSAGES, NOW, PHONE, TortureExchange, parse, read


class Fate(Enum):
    """What becomes of a message."""

    RELAYED = "relayed"
    REGISTERED = "registered"
    REFUSED = "refused"
    ANSWERED = "answered"
    DROPPED = "dropped"
    REFUSED_WHEN_AUTHENTICATED = "refused when authenticated"


class Expected(NamedTuple):
    section: str
    fate: Fate
    status: int = 0


RELAYED, REGISTERED, REFUSED, DROPPED = Fate.RELAYED, Fate.REGISTERED, Fate.REFUSED, Fate.DROPPED
LATER = Fate.REFUSED_WHEN_AUTHENTICATED

EXPECTED = {
    # Well-formed, and within a dialog (its To has a tag) that doesn't exist.
    "rfc4475/wsinv": Expected("4475 3.1.1.1", REFUSED, 481),
    "rfc4475/intmeth": Expected("4475 3.1.1.2", RELAYED),
    "rfc4475/esc01": Expected("4475 3.1.1.3", RELAYED),
    "rfc4475/escnull": Expected("4475 3.1.1.4", Fate.ANSWERED, 401),
    "rfc4475/esc02": Expected("4475 3.1.1.5", RELAYED),
    "rfc4475/lwsdisp": Expected("4475 3.1.1.6", RELAYED),
    "rfc4475/longreq": Expected("4475 3.1.1.7", RELAYED),
    "rfc4475/dblreq": Expected("4475 3.1.1.8", REGISTERED),
    "rfc4475/semiuri": Expected("4475 3.1.1.9", RELAYED),
    "rfc4475/transports": Expected("4475 3.1.1.10", RELAYED),
    # Its Route leads elsewhere, and the exchange is no open relay.
    "rfc4475/mpart01": Expected("4475 3.1.1.11", LATER, 403),
    "rfc4475/unreason": Expected("4475 3.1.1.12", DROPPED),
    "rfc4475/noreason": Expected("4475 3.1.1.13", DROPPED),
    "rfc4475/badinv01": Expected("4475 3.1.2.1", REFUSED, 400),
    "rfc4475/clerr": Expected("4475 3.1.2.2", REFUSED, 400),
    "rfc4475/ncl": Expected("4475 3.1.2.3", REFUSED, 400),
    "rfc4475/scalar02": Expected("4475 3.1.2.4", REFUSED, 400),
    "rfc4475/scalarlg": Expected("4475 3.1.2.5", DROPPED),
    "rfc4475/quotbal": Expected("4475 3.1.2.6", REFUSED, 400),
    "rfc4475/ltgtruri": Expected("4475 3.1.2.7", REFUSED, 400),
    "rfc4475/lwsruri": Expected("4475 3.1.2.8", REFUSED, 400),
    "rfc4475/lwsstart": Expected("4475 3.1.2.9", REFUSED, 400),
    "rfc4475/trws": Expected("4475 3.1.2.10", REFUSED, 400),
    "rfc4475/escruri": Expected("4475 3.1.2.11", REFUSED, 400),
    # The RFC lets a proxy be liberal with a date that it doesn't read.
    "rfc4475/baddate": Expected("4475 3.1.2.12", RELAYED),
    "rfc4475/regbadct": Expected("4475 3.1.2.13", LATER, 400),
    # Liberal: the spaces are ignored.
    "rfc4475/badaspec": Expected("4475 3.1.2.14", RELAYED),
    "rfc4475/baddn": Expected("4475 3.1.2.15", REFUSED, 400),
    "rfc4475/badvers": Expected("4475 3.1.2.16", REFUSED, 505),
    "rfc4475/mismatch01": Expected("4475 3.1.2.17", REFUSED, 400),
    "rfc4475/mismatch02": Expected("4475 3.1.2.18", REFUSED, 400),
    "rfc4475/bigcode": Expected("4475 3.1.2.19", DROPPED),
    "rfc4475/badbranch": Expected("4475 3.2.1", REFUSED, 400),
    "rfc4475/insuf": Expected("4475 3.3.1", REFUSED, 400),
    "rfc4475/unkscm": Expected("4475 3.3.2", REFUSED, 416),
    "rfc4475/novelsc": Expected("4475 3.3.3", REFUSED, 416),
    "rfc4475/unksm2": Expected("4475 3.3.4", REFUSED, 400),
    "rfc4475/bext01": Expected("4475 3.3.5", REFUSED, 420),
    "rfc4475/invut": Expected("4475 3.3.6", RELAYED),
    "rfc4475/regaut01": Expected("4475 3.3.7", Fate.ANSWERED, 401),
    "rfc4475/multi01": Expected("4475 3.3.8", REFUSED, 400),
    "rfc4475/mcl01": Expected("4475 3.3.9", REFUSED, 400),
    "rfc4475/bcast": Expected("4475 3.3.10", DROPPED),
    "rfc4475/zeromf": Expected("4475 3.3.11", REFUSED, 483),
    "rfc4475/cparam01": Expected("4475 3.3.12", REGISTERED),
    "rfc4475/cparam02": Expected("4475 3.3.13", REGISTERED),
    "rfc4475/regescrt": Expected("4475 3.3.14", REGISTERED),
    "rfc4475/sdp01": Expected("4475 3.3.15", RELAYED),
    # Without a From tag a call can't be told from others: only elements that want to talk to those of
    # RFC 2543 have to take it.
    "rfc4475/inv2543": Expected("4475 3.4.1", REFUSED, 400),
    "rfc5118/ipv6-good": Expected("5118 4.1", REGISTERED),
    "rfc5118/ipv6-bad": Expected("5118 4.2", REFUSED, 400),
    "rfc5118/port-ambiguous": Expected("5118 4.3", REGISTERED),
    "rfc5118/port-unambiguous": Expected("5118 4.4", REGISTERED),
    "rfc5118/via-received-param-with-delim": Expected("5118 4.5", REFUSED, 481),
    "rfc5118/via-received-param-no-delim": Expected("5118 4.5", Fate.ANSWERED, 200),
    "rfc5118/ipv6-in-sdp": Expected("5118 4.6", RELAYED),
    "rfc5118/mult-ip-in-header": Expected("5118 4.7", REFUSED, 481),
    "rfc5118/mult-ip-in-sdp": Expected("5118 4.8", RELAYED),
    "rfc5118/ipv4-mapped-ipv6": Expected("5118 4.9", RELAYED),
    "rfc5118/ipv6-bug-abnf-3-colons": Expected("5118 4.10", RELAYED),
}
CHANGED_ON_THE_WAY = {"", "via", "max-forwards", "max-breadth", "record-route", "p-asserted-identity"}
CHANGED_ON_THE_WAY |= {"session-expires", "supported", "min-se"}  # the exchange asks for session timers


def named(fate: Fate) -> list[str]:
    return [name for name, expected in EXPECTED.items() if expected.fate is fate]


def test_every_message_is_in_the_table_and_every_entry_has_its_message() -> None:
    files = {f"{path.parent.name}/{path.stem}" for path in MESSAGES.glob("*/*.sip")}
    assert files == set(EXPECTED)
    assert len(files) == 49 + 11


@pytest.mark.parametrize("name", named(REFUSED) + named(Fate.ANSWERED))
def test_it_is_answered_at_once_with_this_status(name: str) -> None:
    exchange = TortureExchange(read(name))
    answers, relayed = exchange.take(read(name))
    assert answers == [EXPECTED[name].status]
    assert relayed == []
    if EXPECTED[name].status in {400, 505}:
        assert exchange.last_answer.reason not in {"", "Unknown"}
        assert exchange.last_answer.reason.isprintable()


@pytest.mark.parametrize("name", named(RELAYED))
def test_it_reaches_the_phone_unchanged_but_for_what_a_proxy_changes(name: str) -> None:
    data = read(name)
    exchange = TortureExchange(data)
    assert exchange.take(data) == ([407], [])
    answers, relayed = exchange.take_with_credentials(data)
    sent = parse(data)
    assert isinstance(sent, Request)
    assert answers == []
    (request,) = relayed
    assert request.method == sent.method
    assert request.body == sent.body
    kept = [line for key, line in zip(sent.keys, sent.lines, strict=True) if key not in CHANGED_ON_THE_WAY]
    arrived = [
        line for key, line in zip(request.keys, request.lines, strict=True) if key not in CHANGED_ON_THE_WAY
    ]
    assert arrived == kept
    assert request.values("via")[2:] == sent.values("via")[1:]
    sent.check()
    assert sent.max_forwards is not None
    request.check()
    assert request.max_forwards == sent.max_forwards - 1


@pytest.mark.parametrize("name", named(REGISTERED))
def test_it_binds_its_contact(name: str) -> None:
    data = read(name)
    exchange = TortureExchange(data)
    assert exchange.take(data) == ([401], [])
    assert exchange.take_with_credentials(data) == ([200], [])
    contact = parse_name_addr(parse(data).values("contact")[0])
    bound = [parse_name_addr(value).uri for value in exchange.last_answer.values("contact")]
    assert contact.uri in bound


@pytest.mark.parametrize("name", named(LATER))
def test_it_is_challenged_and_then_refused_with_this_status(name: str) -> None:
    data = read(name)
    exchange = TortureExchange(data)
    answers, _ = exchange.take(data)
    assert answers in ([401], [407])
    assert exchange.take_with_credentials(data) == ([EXPECTED[name].status], [])


@pytest.mark.parametrize("name", named(DROPPED))
def test_it_is_dropped_without_an_answer(name: str) -> None:
    exchange = TortureExchange(read(name))
    exchange.engine.receive(read(name), exchange.flow, NOW)
    assert not [output for output in exchange.engine.take_outputs() if isinstance(output, Send)]


@pytest.mark.parametrize("name", EXPECTED)
def test_all_of_them_one_after_the_other_leave_nothing_behind(name: str) -> None:
    """Also a second and a third copy, and the same over a stream, byte by byte."""
    data = read(name)
    exchange = TortureExchange(data)
    for _ in range(3):
        exchange.engine.receive(data, exchange.flow, NOW)
    for end in range(0, len(data), 7):
        exchange.engine.receive(data[:end], exchange.flow, NOW)
    exchange.engine.expire(NOW + 300)
    events = [each for each in exchange.engine.take_outputs() if isinstance(each, SecurityEvent)]
    assert all(event.detail.isprintable() for event in events)
    assert len(exchange.engine._exchange.layer) == 0
    assert exchange.engine.live_calls() == []


def test_the_two_requests_of_one_datagram_come_apart_on_a_stream() -> None:
    """RFC 4475 §3.1.1.8: in a datagram the second one is no message at all, on a stream it is."""
    framer = StreamFramer()
    framer.feed(read("rfc4475/dblreq"))
    first, second = framer.next_message(), framer.next_message()
    assert first is not None
    assert second is not None
    assert (first[:8], second[:6]) == (b"REGISTER", b"INVITE")
    assert framer.next_message() is None


def test_what_the_short_tortuous_invite_says() -> None:
    request = parse(read("rfc4475/wsinv"))
    assert isinstance(request, Request)
    request.check()
    assert (request.cseq, request.cseq_method, request.max_forwards) == (9, "INVITE", 68)
    assert (request.from_tag, request.to_tag) == ("98asjd8", "1918181833n")
    assert request.from_address().display_name == 'J Rosenberg \\"'
    assert request.first("subject") == ""
    assert request.first("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert request.first("newfangledheader") == "newfangled value continued newfangled value"
    assert len(request.values("via")) == 3
    contact = parse_name_addr(request.values("contact")[0])
    assert contact.display_name == 'Quoted string ""'
    assert contact.parameters == {"newparam": "newvalue", "secondparam": "", "q": "0.33"}
    assert len(request.body) == 150


def test_what_the_request_with_unusual_characters_says() -> None:
    request = parse(read("rfc4475/intmeth"))
    assert isinstance(request, Request)
    request.check()
    assert request.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert request.to_address().display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert request.from_tag == "_token~1'+`*%!-."
    assert request.from_address().parameters["fromparam''~+*_!.-%"] == "работающий"
    assert request.first("extensionheader-!.%*+_`'~") == "\ufeff大停電"


def test_escapes_are_undone_where_they_are_escapes_and_nowhere_else() -> None:
    """RFC 4475 §3.1.1.3 to §3.1.1.5, §3.1.1.9."""
    request = parse(read("rfc4475/esc01"))
    assert isinstance(request, Request)
    assert parse_uri(request.uri).number == "sips:user@example.com"
    assert request.to_address().parsed_uri().number == "user"
    assert request.from_address().parsed_uri().number == "I have spaces"
    request = parse(read("rfc4475/esc02"))
    assert isinstance(request, Request)
    assert request.method == "RE%47IST%45R"
    assert len(request.values("contact")) == 2
    assert request.to_address().display_name == "%Z%45"
    nulls = [
        parse_name_addr(value).parsed_uri() for value in parse(read("rfc4475/escnull")).values("contact")
    ]
    assert [uri.number for uri in nulls] == ["\0", "\0\0"]
    assert nulls[0].equality_key() != nulls[1].equality_key()
    request = parse(read("rfc4475/semiuri"))
    assert isinstance(request, Request)
    assert parse_uri(request.uri).number == "user;par=u@example.net"


def test_parameters_of_a_contact_belong_to_the_header_or_to_the_uri() -> None:
    """RFC 4475 §3.3.12, §3.3.13."""
    for name, uri in (("cparam01", "sip:+19725552222@gw1.example.net"),
                      ("cparam02", "sip:+19725552222@gw1.example.net;unknownparam")):  # fmt: skip
        data = read(f"rfc4475/{name}")
        exchange = TortureExchange(data)
        exchange.take(data)
        exchange.take_with_credentials(data)
        assert uri in [registration.contact for registration in exchange.engine.registrations()]


def test_a_port_within_the_brackets_is_part_of_the_address() -> None:
    """RFC 5118 §4.3, §4.4."""
    ambiguous, unambiguous = (
        parse(read(f"rfc5118/{name}")) for name in ("port-ambiguous", "port-unambiguous")
    )
    assert isinstance(ambiguous, Request)
    assert isinstance(unambiguous, Request)
    assert (parse_uri(ambiguous.uri).address, parse_uri(ambiguous.uri).port) == ("2001:db8::10:5070", None)
    assert (parse_uri(unambiguous.uri).address, parse_uri(unambiguous.uri).port) == ("2001:db8::10", 5070)


def test_responses_are_read_whatever_their_reason_is() -> None:
    for name, status in (("unreason", 200), ("noreason", 100), ("bcast", 200)):
        response = parse(read(f"rfc4475/{name}"))
        assert isinstance(response, Response)
        response.check()
        assert response.status == status
    with pytest.raises(MalformedMessage, match="CSeq"):
        parse(read("rfc4475/scalarlg")).check()
    with pytest.raises(MalformedMessage, match="status line"):
        parse_message(read("rfc4475/bigcode"))


@pytest.mark.parametrize("name", ["unreason", "noreason", "bcast"])
def test_a_response_for_a_request_of_ours_goes_back_with_its_reason_byte_for_byte(name: str) -> None:
    """The callee's phone answers so; the caller must have it as it was."""
    invite = read("rfc4475/sdp01")
    exchange = TortureExchange(invite)
    exchange.take(invite)
    _, (relayed,) = exchange.take_with_credentials(invite)
    start = read(f"rfc4475/{name}").split(b"\r\n")[0].replace(b" 100 ", b" 183 ")
    echoed = [
        line for key, line in zip(relayed.keys, relayed.lines, strict=True)
        if key in {"via", "from", "call-id", "cseq"}
    ]  # fmt: skip
    lines = [*echoed, f"To: {relayed.first('to')};tag=1", f"Contact: <{CONTACT}>"]
    answer = b"\r\n".join([start, *(line.encode() for line in lines)]) + b"\r\nContent-Length: 0\r\n\r\n"
    exchange.engine.receive(answer, PHONE, NOW)
    sent = [output for output in exchange.engine.take_outputs() if isinstance(output, Send)]
    assert isinstance(sent[0].to, Flow)
    assert sent[0].to.remote[0] == exchange.flow.remote[0]
    assert sent[0].data.split(b"\r\n")[0] == start
