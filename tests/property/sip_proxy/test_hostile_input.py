"""Whatever is done to a valid message on its way, the engine survives and relays nothing for strangers."""

from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import CallRecorded, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import EXCHANGE, Exchange, callee_request

STRANGER = Flow(Transport.UDP, ("203.0.113.66", 5060), EXCHANGE)
_call = AnsweredCall()
MESSAGES = [
    *_call.caller.sent,
    *_call.callee.sent,
    _call.attempt.in_dialog("BYE", cseq=9),
    callee_request(_call.callee, _call.invite, "INVITE", cseq=4),
]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A message with some pieces cut out, doubled, moved or overwritten."""
    data = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 30)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.just(data[start:end] * 2),
                st.binary(max_size=8),
                st.sampled_from(
                    [b"\r\n", b"\r\n\r\n", b"\n", b"\x00", b",", b";", b'"', b"<", b">", b":", b"%"]
                ),
            )
        )
        data = data[:start] + piece + data[end:]
    return data


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
