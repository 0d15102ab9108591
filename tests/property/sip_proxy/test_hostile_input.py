"""Whatever is done to a valid message on its way, the engine survives and relays nothing for strangers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import CallRecorded, Send
from tests.support.mangling import EDITS, Edit, mangle
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import EXCHANGE, Exchange, callee_request, destination

STRANGER = Flow(Transport.UDP, ("203.0.113.66", 5060), EXCHANGE)
_call = AnsweredCall()
MESSAGES = [
    *_call.caller.sent,
    *_call.callee.sent,
    _call.attempt.in_dialog("BYE", cseq=9),
    callee_request(_call.callee, _call.invite, "INVITE", cseq=4),
]


def mangled() -> st.SearchStrategy[bytes]:
    """A message of another call, mangled."""
    return st.builds(mangle, st.sampled_from(MESSAGES), EDITS)


@given(st.lists(mangled(), min_size=1, max_size=6), st.booleans())
def test_the_engine_survives_and_strangers_reach_nobody(messages: list[bytes], is_stream: bool) -> None:
    exchange = Exchange()
    exchange.engine = exchange.make_engine(seed=99)  # other nonces than those in the messages
    callee = exchange.phone("0002")
    flow = Flow(Transport.TCP, STRANGER.remote, EXCHANGE, 5) if is_stream else STRANGER
    callee.inbox.clear()
    exchange.outputs.clear()
    for data in messages:
        exchange.engine.receive(data, flow, exchange.now)
        for output in exchange.engine.take_outputs():
            assert not isinstance(output, CallRecorded)
            if isinstance(output, Send):
                assert isinstance(output.to, Flow)
                assert output.to.remote[0] == STRANGER.remote[0]
                assert output.data.startswith(b"SIP/2.0 ")
        exchange.advance(1)
    exchange.advance(200)
    assert callee.inbox == []


@given(st.lists(mangled(), min_size=1, max_size=6))
def test_a_call_in_progress_ends_in_one_record_whatever_noise_comes_by(messages: list[bytes]) -> None:
    call = AnsweredCall()
    for data in messages:
        call.exchange.receive(data, STRANGER)
    call.exchange.advance(10)
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    (record,) = call.exchange.records
    assert record.duration_us == 10_050_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), EDITS, st.sampled_from([0, 1, 40])), min_size=1, max_size=6))
def test_what_phones_mangle_in_their_call_makes_no_record_twice(
    steps: list[tuple[int, list[Edit], int]],
) -> None:
    call = AnsweredCall()
    exchange = call.exchange
    messages = [
        *((call.caller, sent) for sent in call.caller.sent),
        *((call.callee, sent) for sent in call.callee.sent),
        (call.caller, call.attempt.in_dialog("BYE", cseq=9)),
        (call.caller, call.attempt.in_dialog("INFO", cseq=8)),
        (call.callee, callee_request(call.callee, call.invite, "INVITE", cseq=4)),
        (call.callee, callee_request(call.callee, call.invite, "BYE", cseq=5)),
    ]
    exchange.phones.clear()  # they need not understand the answers
    for index, edits, seconds in steps:
        phone, message = messages[index % len(messages)]
        exchange.receive(mangle(message, edits), phone.flow)
        exchange.advance(seconds)
    for live in exchange.engine.live_calls():
        exchange.engine.end_call(live.id, exchange.now)
    exchange.deliver()
    exchange.advance(300)
    known = {call.caller.address[0], call.callee.address[0]}
    for send in exchange.undelivered:
        parse_message(send.data)
        assert destination(send.to)[0] in known
    ids = [record.record_id for record in exchange.records]
    assert len(ids) == len(set(ids)) > 0
    assert exchange.engine.live_calls() == []
    assert len(exchange.engine._exchange.layer) == 0
    assert exchange.engine._calls._by_call_id == {}
