"""Taking the exchange offline, and ending all calls."""

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.outputs import LiveCallState
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Attempt, Exchange, Phone


class World:
    """An answered call, a ringing one, and an emergency call."""

    def __init__(self) -> None:
        self.call = AnsweredCall()
        self.exchange: Exchange = self.call.exchange
        self.third, self.fourth = self.exchange.phone("0003"), self.exchange.phone("0004")
        self.ringing: Attempt = self.third.invite("0004")
        self.fourth.answer(self.fourth.request("INVITE"), 180, tag="fourth")
        self.desk: Phone = self.exchange.phone("9911")
        self.emergency: Attempt = self.third.invite("9911")
        self.desk.answer(self.desk.request("INVITE"), 200, tag="desk")
        self.emergency.ack()

    def live(self) -> list[tuple[str, LiveCallState]]:
        return [(call.callee, call.state) for call in self.exchange.engine.live_calls()]


def test_ending_all_calls_hangs_up_cancels_and_spares_emergency_calls() -> None:
    world = World()
    assert world.exchange.engine.end_all_calls(world.exchange.now) == 2
    world.exchange.deliver()
    assert world.call.caller.requests("BYE")
    assert world.call.callee.requests("BYE")
    assert world.fourth.requests("CANCEL")
    assert world.ringing.statuses == [180, 480]
    assert world.live() == [("9911", LiveCallState.ANSWERED)]
    assert [record.ended_by for record in world.exchange.records] == [EndedBy.EXCHANGE] * 2
    assert world.exchange.engine.end_all_calls(world.exchange.now) == 0


def test_an_emergency_call_can_be_ended_alone() -> None:
    world = World()
    emergency = next(call for call in world.exchange.engine.live_calls() if call.emergency)
    assert world.exchange.engine.end_call(emergency.id, world.exchange.now)
    world.exchange.deliver()
    assert world.desk.requests("BYE")


def test_draining_refuses_new_calls_at_once_and_ends_the_others_after_its_time() -> None:
    world = World()
    exchange, engine = world.exchange, world.exchange.engine
    engine.go_offline(120.0, exchange.now)
    assert not engine.online
    assert engine.offline_ends_at == exchange.now + 120
    assert world.third.invite("0004").statuses == [503]
    exchange.advance(30)
    world.fourth.answer(world.fourth.request("INVITE"), 200, tag="fourth")
    assert world.ringing.statuses[-1] == 200  # it was being set up already
    world.ringing.ack()
    exchange.advance(89.9)
    assert len(world.live()) == 3
    exchange.advance(0.2)
    assert world.live() == [("9911", LiveCallState.ANSWERED)]
    assert engine.offline_ends_at is None
    assert world.call.callee.request("BYE").first("reason") == (
        'Q.850;cause=31;text="The exchange is going offline"'
    )
    answered = [record for record in exchange.records if record.outcome is Outcome.ANSWERED]
    assert sorted(record.duration_us // 1_000_000 for record in answered) == [90, 120]
    assert world.third.invite("0004").statuses == [503]
    assert world.third.invite("9911").is_on_its_way


def test_a_drain_can_be_called_off() -> None:
    world = World()
    exchange, engine = world.exchange, world.exchange.engine
    engine.go_offline(30.0, exchange.now)
    exchange.advance(20)
    engine.go_online(exchange.now)
    assert engine.online
    assert engine.offline_ends_at is None
    exchange.advance(20)
    assert len(world.live()) == 3
    assert world.third.invite("0002").is_on_its_way


def test_the_drain_time_can_be_changed_and_may_be_none_at_all() -> None:
    world = World()
    exchange, engine = world.exchange, world.exchange.engine
    engine.go_offline(600.0, exchange.now)
    engine.go_offline(10.0, exchange.now)
    assert engine.offline_ends_at == exchange.now + 10
    engine.go_offline(None, exchange.now)
    assert engine.offline_ends_at is None
    exchange.advance(20)
    assert len(world.live()) == 3
    engine.go_offline(0.0, exchange.now)
    exchange.deliver()
    assert world.live() == [("9911", LiveCallState.ANSWERED)]


def test_without_calls_the_drain_just_ends() -> None:
    exchange = Exchange()
    exchange.engine.go_offline(5.0, exchange.now)
    exchange.advance(6)
    assert exchange.engine.offline_ends_at is None
    assert not exchange.engine.online
