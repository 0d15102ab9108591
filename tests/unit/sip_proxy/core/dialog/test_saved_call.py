"""Saved calls: text that has all that a restarted exchange needs, whatever the phones wrote."""

import struct
from math import inf, nan

import pytest

from sip_proxy.core.dialog.call import Call, CallTimer
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.dialog.saved_call import load_call, save_call
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import CallSaved, LiveCallState
from tests.support.sip_calls import AnsweredCall

FLOW = Flow(Transport.UDP, ("198.51.100.7", 40001), ("192.0.2.1", 5060))
CONNECTION = Flow(Transport.TLS, ("2001:db8::7", 40001), ("2001:db8::1", 5061), 17)
GATEWAY = Destination(Transport.TCP, "203.0.113.9", 5060)
ROUTES = ("<sip:192.0.2.8;lr>", '"a, b" <sip:192.0.2.9:5070;transport=tcp;lr>')

# What was written before a value had a line of its own.
AS_JSON = (
    '{"record_id":"5f","call_id":"a\\"b@198.51.100.7","callee":"0002","emergency":true,'
    '"invited_at":1790000000.1234567,"ringing_at":null,"answered_at":1790000004.25,"acknowledged_at":'
    '1790000004.5,"answered_on_clock":1004.2,"session_interval_s":1800,"calling":{"number":"0001",'
    '"address":"\\"\\u00c4nne\\" <sip:0001@tollbell.example>;tag=c","tag":"c",'
    '"contact":"sip:0001@198.51.100.7:40001",'
    '"route_set":["<sip:192.0.2.8;lr>","\\"a, b\\" <sip:192.0.2.9:5070;transport=tcp;lr>"],"cseq":2,'
    '"is_direct":true,"seen_at":1004.5,"flow":["UDP","198.51.100.7",40001,"192.0.2.1",5060,0],'
    '"destination":null},"called":{"number":"0002","address":"<sip:0002@tollbell.example>;tag=d","tag":"d",'
    '"contact":"sip:0002@203.0.113.9","route_set":[],"cseq":0,"is_direct":false,"seen_at":1004.2,"flow":null,'
    '"destination":["TCP","203.0.113.9",5060]}}'
)


class Keeper:
    def call_timer_fired(self, call: Call, event: CallTimer, now: float) -> None:
        raise AssertionError("no timer of a call that is only written and read")


def party(
    number: str, *, flow: Flow | Destination = FLOW, name: str = "", routes: tuple[str, ...] = ()
) -> Party:
    return Party(
        number=number,
        address=f"{name} <sip:{number}@tollbell.example>;tag=t{number}",
        tag=f"t{number}",
        contact=f"sip:{number}@198.51.100.7:40001",
        route_set=routes,
        cseq=7,
        flow=flow,
        is_direct=number == "0001",
        seen_at=1004.1,
    )


def answered(calling: Party, called: Party, *, call_id: str = "a@b", emergency: bool = False) -> Call:
    call = Call("0f" * 16, call_id, calling, called.number, emergency, 1790000000.1234567, Keeper())
    call.called = called
    call.state = LiveCallState.ANSWERED
    call.answered_at = 1790000004.25
    call.answered_on_clock = 1004.2
    call.session_interval_s = 1800
    return call


def load(state: str, *, now: float = 1010.0, same_boot: bool = True) -> Call:
    return load_call(state, Keeper(), now=now, wall=1790000010.05, same_boot=same_boot)


def facts(call: Call) -> list[object]:
    """What of a call must outlive a restart."""
    values: list[object] = [call.record_id, call.call_id, call.caller, call.callee, call.emergency]
    values += [call.invited_at, call.ringing_at, call.answered_at, call.acknowledged_at]
    assert call.called is not None
    values += [call.answered_on_clock, call.session_interval_s]
    return [*values, *facts_of(call.calling), *facts_of(call.called)]


def facts_of(party: Party) -> list[object]:
    """What of one side must outlive a restart."""
    dialog = [party.number, party.address, party.tag, party.contact, party.route_set, party.cseq]
    return [*dialog, party.flow, party.is_direct, party.seen_at]


@pytest.mark.parametrize(
    "calling", [party("0001"), party("0001", name='"Änne \udcff \\"Ä\\""', routes=ROUTES)]
)
@pytest.mark.parametrize("called", [party("0002"), party("0002", flow=GATEWAY, routes=ROUTES)])
@pytest.mark.parametrize("emergency", [True, False])
def test_a_call_is_read_as_it_was_written(calling: Party, called: Party, emergency: bool) -> None:
    call = answered(calling, called, call_id='{"a"\\n}@b', emergency=emergency)
    state = save_call(call)
    assert state.isascii()  # SQLite takes no bytes that are no UTF-8
    assert facts(load(state)) == facts(call)
    call.ringing_at, call.acknowledged_at = 1790000001.1, 1790000004.4
    assert facts(load(save_call(call))) == facts(call)


def test_a_connection_of_an_earlier_process_is_another_one() -> None:
    call = load(save_call(answered(party("0001", flow=CONNECTION), party("0002"))))
    assert call.calling.flow == CONNECTION._replace(connection=-17)


def test_what_was_kept_as_json_is_still_read() -> None:
    call = load(AS_JSON)
    assert (call.record_id, call.call_id, call.emergency) == ("5f", 'a"b@198.51.100.7', True)
    assert (call.invited_at, call.ringing_at) == (1790000000.1234567, None)
    assert (call.answered_at, call.acknowledged_at) == (1790000004.25, 1790000004.5)
    assert (call.answered_on_clock, call.session_interval_s) == (1004.2, 1800)
    assert facts_of(call.calling) == [
        "0001",
        '"Änne" <sip:0001@tollbell.example>;tag=c',
        "c",
        "sip:0001@198.51.100.7:40001",
        ROUTES,
        2,
        FLOW,
        True,
        1004.5,
    ]
    assert call.called is not None
    assert (call.called.flow, call.called.cseq, call.called.seen_at) == (GATEWAY, 0, 1004.2)
    before_session_timers = AS_JSON.replace('"session_interval_s":1800,', "").replace('"seen_at":1004.5,', "")
    assert (load(before_session_timers).session_interval_s, load(before_session_timers).calling.seen_at) == (
        0,
        0,
    )


def test_a_call_that_is_cut_short_is_not_read_as_another() -> None:
    calls = party("0001", routes=ROUTES), party("0002", flow=GATEWAY, routes=ROUTES)
    lines = save_call(answered(*calls)).rstrip("\n").split("\n")
    for length in range(len(lines)):
        with pytest.raises(ValueError, match=r"not enough values|cut short"):
            load("\n".join(lines[:length]))


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"198.51.100.7"', "null"),
        ('"203.0.113.9"', '"gateway"'),
        ("40001", '"40001"'),
        ("5060]", "-70000]"),
        (struct.pack(">d", 1004.2).hex(), struct.pack(">d", nan).hex()),
        (struct.pack(">d", 1004.2).hex(), struct.pack(">d", inf).hex()),
        (struct.pack(">d", 1004.2).hex(), struct.pack(">d", 1e15).hex()),
    ],
)
def test_a_call_that_somebody_has_damaged_is_not_taken_up(was: str, now: str) -> None:
    """It could never end: there would be no duration or date to record, or nobody to send a BYE to."""
    state = save_call(answered(party("0001"), party("0002", flow=GATEWAY)))
    assert was in state
    with pytest.raises(ValueError, match="no "):
        load(state.replace(was, now))


def test_after_a_reboot_instants_are_on_the_new_clock() -> None:
    call = load(AS_JSON, now=20.0, same_boot=False)
    assert call.answered_on_clock == pytest.approx(14.2)
    assert call.calling.seen_at == pytest.approx(14.5)


def test_saved_calls_are_small() -> None:
    exchange = AnsweredCall().exchange
    (saved,) = [output for output in exchange.outputs if isinstance(output, CallSaved)]
    assert len(saved.state) < 600
    assert saved.state.partition("\n")[0] == saved.record_id
