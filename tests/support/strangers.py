"""What a fuzz may expect of the exchange, whatever it was told."""

from sip_proxy.core.dialog.call_record import CallRecord
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import LiveCallState, Send
from tests.support.sip_phones import Exchange, destination


def check_message(send: Send) -> None:
    """What the exchange sends is well-formed: nobody can put a line into it, or take one out.

    Answers to malformed requests echo what was malformed, so only their frame is looked at.
    """
    message = parse_message(send.data)
    assert isinstance(message, Request | Response)
    assert message.defect is None or isinstance(message, Response)
    head = send.data.partition(b"\r\n\r\n")[0]
    assert b"\0" not in head.partition(b"\r\n")[0]
    if isinstance(message, Request):
        message.check()
        assert message.values("via")[0].startswith("SIP/2.0/")


def check_sends(exchange: Exchange, known: set[str]) -> None:
    """Look at everything sent since the last look: to whom, and what."""
    for output in exchange.outputs:
        if isinstance(output, Send) and not output.data.startswith(b"\x01\x01"):
            check_message(output)
            assert destination(output.to)[0] in known, output
    exchange.outputs[:] = [output for output in exchange.outputs if not isinstance(output, Send)]


def let_the_dust_settle(exchange: Exchange) -> None:
    """End what is left; then nothing may be kept but bindings, and every record is there once."""
    exchange.advance(70)
    engine = exchange.engine
    for live in engine.live_calls():
        assert live.state is LiveCallState.ANSWERED, "it rings for ever"
        engine.end_call(live.id, exchange.now)
    exchange.deliver()
    exchange.advance(400)
    assert engine.live_calls() == []
    assert len(engine._exchange.layer) == 0
    assert engine._calls._by_call_id == {}
    records: list[CallRecord] = exchange.records
    ids = [record.record_id for record in records]
    assert len(ids) == len(set(ids))
    for number, bindings in engine._location.items():
        assert len(bindings) <= engine.config.maximum_bindings, number
