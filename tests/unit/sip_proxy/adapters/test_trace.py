"""The last messages, found again by Call-ID."""

import pytest

from sip_proxy.adapters.trace import Trace
from sip_proxy.core.flow import Destination, Flow, Transport

CALLER = Flow(Transport.UDP, ("192.0.2.1", 5062), ("192.0.2.9", 5060))
CALLEE = Destination(Transport.TCP, "192.0.2.7", 5060)


def invite(call_id: str, name: str = "Call-ID") -> bytes:
    return (
        "INVITE sip:0002@tollbell.local SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n"
        f"{name}: {call_id}\r\n"
        "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode()


RINGING = b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 192.0.2.9\r\nCall-ID: a@b\r\nCSeq: 1 INVITE\r\n\r\n"


def test_finds_the_messages_of_a_call_in_order() -> None:
    trace = Trace()
    trace.came(invite("a@b"), CALLER, 1.0)
    trace.came(invite("other"), CALLER, 1.5)
    trace.went(invite("a@b"), CALLEE, 2.0)
    trace.went(RINGING, CALLER, 3.0)
    first, second, third = trace.of_call("a@b")

    assert (first.at, first.peer, first.is_incoming) == (1.0, CALLER, True)
    assert (second.at, second.peer, second.is_incoming) == (2.0, CALLEE, False)
    assert first.start_line == "INVITE sip:0002@tollbell.local SIP/2.0"
    assert (third.start_line, third.cseq_method) == ("SIP/2.0 180 Ringing", "INVITE")


@pytest.mark.parametrize("name", ["Call-ID", "CALL-ID", "call-id ", "i", "I"])
def test_the_header_may_be_written_in_any_way(name: str) -> None:
    trace = Trace()
    trace.came(invite("a@b", name), CALLER, 1.0)

    assert len(trace.of_call("a@b")) == 1


@pytest.mark.parametrize("asked", ["a@", "A@B", "a.b", "a@b ", "", "INVITE", "[", "\udcff"])
def test_nothing_but_the_very_call_id_counts(asked: str) -> None:
    trace = Trace()
    trace.came(invite("a@b"), CALLER, 1.0)

    assert trace.of_call(asked) == []


def test_the_oldest_make_room_and_keep_alives_take_none() -> None:
    trace = Trace(3)
    for number in range(5):
        trace.came(invite(f"call-{number}"), CALLER, 1.0)
        trace.came(b"\r\n\r\n", CALLER, 1.0)

    assert [len(trace.of_call(f"call-{number}")) for number in range(5)] == [0, 0, 1, 1, 1]


def test_what_is_no_message_disturbs_nobody() -> None:
    trace = Trace()
    trace.came(b"\x00" * 50 + b"\nCall-ID: a@b\r\n", CALLER, 1.0)
    trace.came(invite("a@b"), CALLER, 2.0)

    assert [message.at for message in trace.of_call("a@b")] == [2.0]


def test_it_can_be_off() -> None:
    trace = Trace(0)
    trace.came(invite("a@b"), CALLER, 1.0)

    assert trace.of_call("a@b") == []
