"""Short cuts on the way of every call give what the long way gives."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.adapters.instants import rfc3339
from sip_proxy.adapters.record_json import record_json
from sip_proxy.core.dialog.call_record import CallRecord, EndedBy, Outcome
from sip_proxy.core.dialog.party import contact_of
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.hops import contact_on
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Message, Request
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.via import Via, parse_via, read_usual_via, with_source
from sip_proxy.core.registrar.binding import Binding, destination_of, load_bindings, save_bindings

# Texts of the letters that matter to a grammar, and of anything.
PIECES = st.text(st.sampled_from('aZ0:;=,"<>\\@?% \t.-[]\0\x1f\x7f')) | st.text(max_size=20)
INSTANTS = st.floats(min_value=0, max_value=4_000_000_000)


def request(from_value: str, via: str = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa") -> Message:
    lines = (
        f"OPTIONS sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: {from_value}\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n"
        "CSeq: 1 OPTIONS\r\n\r\n"
    )
    return parse_message(lines.encode("utf-8", "surrogateescape"))


@given(st.sampled_from(['"{}" <sip:a@b>;tag={}', "<sip:{}>;tag={}", "{}<sip:a@b>;tag={}"]), PIECES, PIECES)
def test_a_tag_is_what_the_whole_address_says(form: str, first: str, second: str) -> None:
    value = form.format(first, second)
    if set("\r\n") & set(value):
        return
    message = request(value)
    try:
        tag = parse_name_addr(value.strip(" \t")).tag
    except MalformedMessage:
        tag = None
    try:
        message.check()
    except MalformedMessage:
        assert not tag  # refused, or without the tag that a request needs
    else:
        assert message.from_tag == tag


def facts(via: Via) -> tuple[str, str, int | None, str, str, dict[str, str]]:
    return via.transport, via.host, via.port, via.sent_by, via.branch, via.parameters


@given(
    st.sampled_from(["UDP", "TCP", "udp"]),
    st.sampled_from(["192.0.2.1", "phone.example", "Phone.Example", "[2001:db8::1]"]),
    st.sampled_from(["", ":5060", ":65535", ":05060", ":0"]),
    st.permutations(["rport", "branch=z9hG4bKa.b-c", "alias"]),
    st.integers(0, 3),
)
def test_a_usual_via_means_what_it_means_with_spaces(
    transport: str, host: str, port: str, parameters: list[str], count: int
) -> None:
    chosen = parameters[:count]
    tight = parse_via(f"SIP/2.0/{transport} {host}{port}" + "".join(f";{one}" for one in chosen))
    spaced = parse_via(f" SIP / 2.0 / {transport}  {host}{port}" + "".join(f" ; {one}" for one in chosen))
    assert facts(tight) == facts(spaced)


@given(
    st.sampled_from(["192.0.2.1", "phone.example", "Phone.Example", "[2001:db8::1]"]),
    st.sampled_from(["", ":5060", ":65535", ":05060", ":0"]),
    st.lists(
        st.sampled_from(["rport", "branch=z9hG4bKa.b-c", "branch=z9hG4bKé²", "alias", "rport=7", "x=;rport"]),
        max_size=3,
    ),
    st.sampled_from(["192.0.2.1", "192.0.2.9"]),
)
def test_a_usual_via_is_read_and_stamped_as_any_other(
    host: str, port: str, parameters: list[str], source: str
) -> None:
    value = f"SIP/2.0/UDP {host}{port}" + "".join(f";{one}" for one in parameters)
    usual = read_usual_via(f"Via: {value}", source, 6001)
    if usual is not None:
        via = parse_via(value)
        assert facts(usual[0]) == facts(via)
        assert usual[1] == f"Via: {with_source(value, via, source, 6001)}"
    elif parameters == ["branch=z9hG4bKa.b-c", "rport"]:
        assert not port or host in {"Phone.Example", "[2001:db8::1]"}


@given(st.permutations(["rport", "branch=z9hG4bKrport", "alias"]), st.integers(1, 65535))
def test_the_source_is_stamped_once_and_nothing_else_changes(parameters: list[str], port: int) -> None:
    value = "SIP/2.0/UDP rport.example:5060" + "".join(f";{one}" for one in parameters)
    stamped = with_source(value, parse_via(value), "192.0.2.9", port)
    expected = ["SIP/2.0/UDP rport.example:5060"]
    expected += [f"rport={port}" if one == "rport" else one for one in parameters]
    assert stamped.split(";") == [*expected, "received=192.0.2.9"]


@given(PIECES)
def test_a_contact_is_what_the_whole_address_says(uri: str) -> None:
    if set("\r\n") & set(uri):
        return
    message = request("<sip:a@b>;tag=1")
    message.add("contact", f"Contact: <{uri}>")
    try:
        contact = parse_name_addr(f"<{uri}>").uri
    except MalformedMessage:
        contact = ""
    assert contact_of(message, "sip:fallback@b") == (contact or "sip:fallback@b")


@pytest.mark.parametrize("source", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("source_port", [5060, 6001])
@given(
    st.sampled_from(["", "0001@", "a;b=c@"]),
    st.sampled_from(["192.0.2.1", "192.0.2.11", "[2001:db8::1]", "[2001:DB8:0::1]", "phone.example"]),
    st.sampled_from(["", ":5060", ":6001", ":65535", ":65536", ":0", ":05060"]),
    st.sampled_from(["", ";transport=udp", ";transport=tcp", ";ob", ";transport=UDP;line=1", "?a=b"]),
)
def test_a_contact_points_where_its_whole_uri_does(
    source: str, source_port: int, user: str, host: str, port: str, rest: str
) -> None:
    """RFC 3261 §16.6 step 7; who writes what can't be read is reached where it was seen."""
    flow = Flow(Transport.UDP, (source, source_port), ("192.0.2.2", 5060))
    contact = f"sip:{user}{host}{port}{rest}"
    to = destination_of(contact, Transport.UDP)
    expected: Flow | Destination | None = to
    if to is None:
        expected = flow
    elif to.transport is Transport.UDP:
        expected = Flow(Transport.UDP, (to.host, to.port), flow.local)
    assert contact_on(flow, contact) == expected


# No end of the header, and no continuation of the line before.
LINES = PIECES.filter(lambda text: bool(text) and text[0] not in " \t" and not set("\r\n") & set(text))


@given(st.lists(LINES, max_size=5))
def test_every_line_has_the_key_of_its_own_name(extra: list[str]) -> None:
    """Lines without a colon must not shift the others."""
    head = "\r\n".join(["OPTIONS sip:a@b SIP/2.0", "Via: x", *extra, "Call-ID: 1"])
    message = parse_message(head.encode("utf-8", "surrogateescape") + b"\r\n\r\n")
    assert isinstance(message, Request)
    assert len(message.keys) == len(message.lines)
    assert message.keys[1] == "via"
    assert message.keys[-1] == "call-id"
    assert message.first("call-id") == "1" or "call-id" in message.keys[2:-1]


@given(INSTANTS)
def test_instants_are_written_to_the_microsecond(instant: float) -> None:
    read = datetime.strptime(rfc3339(instant), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(read.timestamp() - instant) <= 1e-6


@given(st.text(), st.text(), INSTANTS, st.none() | INSTANTS, st.booleans())
def test_a_record_written_by_hand_is_json(
    call_id: str, reason: str, instant: float, answered_at: float | None, emergency: bool
) -> None:
    record = CallRecord(
        record_id="r",
        call_id=call_id,
        caller="1",
        callee='2"\\',
        emergency=emergency,
        invited_at=instant,
        ringing_at=None,
        answered_at=answered_at,
        acknowledged_at=None,
        ended_at=instant,
        duration_us=7,
        outcome=Outcome.ANSWERED,
        status=200,
        reason=reason,
        ended_by=EndedBy.CALLER,
    )
    document = json.loads(record_json(record))
    assert "\0" not in document["call_id"] + document["reason"]
    if reason.isprintable():
        assert document["reason"] == reason
    assert document["callee"] == '2"\\'
    assert document["emergency"] is emergency
    assert document["answered_at"] == (None if answered_at is None else rfc3339(answered_at))
    assert (document["duration_us"], document["status"], document["outcome"]) == (7, 200, "answered")


@given(st.text(), st.text(), st.lists(st.text(), max_size=2), st.integers(0, 3), st.booleans())
def test_bindings_survive_being_written_by_hand(
    call_id: str, user_agent: str, path: list[str], reg_id: int, is_direct: bool
) -> None:
    binding = Binding(
        contact="sip:%22a%22@[2001:db8::1]:5070;x=%5C;transport=tcp",
        flow=Flow(Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.2", 5060)),
        is_direct=is_direct,
        call_id=call_id,
        cseq=3,
        q=500,
        registered_at=1.0,
        expires_at=2.0,
        user_agent=user_agent,
        path=tuple(path),
        instance="urn:uuid:1" if reg_id else "",
        reg_id=reg_id,
    )
    assert load_bindings(save_bindings((binding, binding), 0.0), 0.0) == [binding, binding]
