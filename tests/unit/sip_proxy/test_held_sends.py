"""Messages that wait for the disk: in order, and no longer than somebody waits for them."""

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import Send
from sip_proxy.held_sends import HeldSends

FLOW = Flow(Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.9", 5060))


def send(data: bytes, *, or_failure: bool = False) -> Send:
    return Send(FLOW, data, or_failure=or_failure)


def test_what_the_journal_has_reached_is_released_in_order_with_its_instant() -> None:
    held = HeldSends()
    for position, data in ((1, b"a"), (3, b"b"), (3, b"c"), (4, b"d")):
        held.hold(send(data), position, float(position))

    assert [(one.data, since) for one, since in held.release(3)] == [(b"a", 1.0), (b"b", 3.0), (b"c", 3.0)]
    assert len(held) == 1
    assert list(held.release(3)) == []


def test_what_nobody_waits_for_any_longer_is_dropped() -> None:
    held = HeldSends()
    held.hold(send(b"old"), 1, 0.0)
    held.hold(send(b"new"), 2, 10.0)

    assert held.drop_old(32.0) == 0
    assert held.drop_old(32.1) == 1
    assert [one.data for one, _ in held.release(2)] == [b"new"]


def test_what_need_not_wait_for_a_failing_journal_is_released_and_the_rest_stays() -> None:
    held = HeldSends()
    held.hold(send(b"answer"), 1, 0.0)
    held.hold(send(b"registered", or_failure=True), 2, 1.0)
    assert [(one.data, since) for one, since in held.release_despite_failure()] == [(b"registered", 1.0)]
    assert [one.data for one, _ in held.release(2)] == [b"answer"]
