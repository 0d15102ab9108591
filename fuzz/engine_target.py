"""A whole engine with a call in progress, and messages of its phones and of strangers, mutated.

An input is a series of steps. Each begins with a byte that says who sends and how long it takes until then.
Addresses, tags, branches and nonces are the same in every run, so a mutation of a valid step stays valid
where it was not touched.
"""

import itertools

from sip_proxy.core.flow import Flow, Transport
from tests.support import sip_phones
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import EXCHANGE, callee_request
from tests.support.strangers import check_sends, let_the_dust_settle

_SEPARATOR = b"\n--8<--\n"
_MOST_STEPS = 12
_STRANGERS = (
    Flow(Transport.UDP, ("203.0.113.66", 5060), EXCHANGE),
    Flow(Transport.TCP, ("203.0.113.67", 40001), EXCHANGE, 901),
)
_WAITS_S = (0.0, 0.6, 5.0, 33.0)


def test_one_input(data: bytes) -> None:
    """Play the steps, then see that everybody is told the truth and nothing is left."""
    call = _call()
    exchange = call.exchange
    senders = (call.caller.flow, call.callee.flow, *_STRANGERS)
    known = {flow.remote[0] for flow in senders}
    for step in data.split(_SEPARATOR)[:_MOST_STEPS]:
        if step:
            exchange.advance(_WAITS_S[step[0] >> 2 & 3])
            exchange.receive(step[1:], senders[step[0] & 3])
    check_sends(exchange, known)
    let_the_dust_settle(exchange)
    check_sends(exchange, known)
    assert len(exchange.records) >= 1


def seeds() -> list[bytes]:
    """Inputs to begin with: what the phones of a call say, each alone and all in a row."""
    call = _call()
    messages = [
        *((0, sent) for sent in call.caller.sent),
        *((1, sent) for sent in call.callee.sent),
        (0, call.attempt.in_dialog("INVITE", cseq=7)),
        (0, call.attempt.in_dialog("INFO", cseq=8)),
        (0, call.attempt.in_dialog("BYE", cseq=9)),
        (1, callee_request(call.callee, call.invite, "UPDATE", cseq=4)),
        (1, callee_request(call.callee, call.invite, "BYE", cseq=5)),
    ]
    steps = [bytes([sender]) + data for sender, data in messages]
    return [*steps, _SEPARATOR.join(steps[-6:]), _SEPARATOR.join(steps[:6])]


def _call() -> AnsweredCall:
    """A call whose phones have the same addresses and tags every time, and no longer listen."""
    sip_phones._serial = itertools.count(1)
    call = AnsweredCall()
    call.exchange.phones = {}
    call.exchange.outputs.clear()
    return call
