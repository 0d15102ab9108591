"""The driver: outputs carried out in order, sends held for the journal, one timer, errors survived."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.journal_store import Fact
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.core.dialog.call_record import Outcome
from sip_proxy.core.directory import Directory
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError, FramingErrorKind
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    CallRecorded,
    CallSaved,
    LiveCall,
    LiveCallState,
    Output,
    Registration,
    SecurityEvent,
    SecurityEventKind,
    Send,
)
from sip_proxy.driver import Driver
from sip_proxy.transport.source_limit import Rate, SourceLimiter
from tests.unit.sip_proxy.adapters.test_journal_store import REGISTRATION, recorded

FLOW = Flow(Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.9", 5060))
OTHER = Flow(Transport.UDP, ("192.0.2.2", 5060), ("192.0.2.9", 5060))


FRAMING_ERROR = FramingError(FramingErrorKind.TRUNCATED, status=400, head=b"")

OUT_OF_SERVICE = "0009"


class FakeEngine:
    """An engine that hands out what the test puts in."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.directory = Directory()
        self.wall_offset = 0.0
        self.journal_available = True
        self.deadline: float | None = None
        self.unsent: list[tuple[bytes, Flow | Destination]] = []
        self.expired_at: list[float] = []
        self.received: list[bytes] = []
        self.error: Exception | None = None
        self.on_unsent: list[Output] = []

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        if self.error:
            raise self.error
        self.received.append(data)

    def with_test_results(self, registrations: Iterable[Registration]) -> list[Registration]:
        return [each._replace(in_service=each.number != OUT_OF_SERVICE) for each in registrations]

    def flow_closed(self, flow: Flow, now: float) -> None:
        if self.error:
            raise self.error

    def framing_failed(self, error: Exception, flow: Flow, now: float) -> None:
        if self.error:
            raise self.error

    def unable_to_send(self, data: bytes, to: Flow | Destination, now: float) -> None:
        self.unsent.append((data, to))
        self.outputs += self.on_unsent
        if self.error:
            raise self.error

    def next_deadline(self) -> float | None:
        return self.deadline

    def expire(self, now: float) -> None:
        self.expired_at.append(now)
        if self.error:
            raise self.error
        self.deadline = None

    def take_outputs(self) -> list[Output]:
        taken, self.outputs = self.outputs, []
        return taken


class FakeJournal:
    """Facts that are committed when the test says so."""

    def __init__(self) -> None:
        self.position = 0
        self.facts: list[Fact] = []
        self.awaited: list[bool] = []

    def append(self, facts: list[Fact], *, is_awaited: bool) -> int:
        self.awaited.append(is_awaited)
        self.facts += facts
        self.position += len(facts)
        return self.position


class FakeSender:
    """A transport that notes what it sends; `unreachable` peers can't be sent to, `broken` ones raise."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.unreachable: set[Flow | Destination] = set()
        self.broken: set[Flow | Destination] = set()
        self.handler: Driver | None = None

    def send(self, data: bytes, to: Flow | Destination) -> None:
        if to in self.broken:
            raise OverflowError("a bug")
        if to in self.unreachable:
            assert self.handler is not None
            self.handler.unable_to_send(data, to)
        else:
            self.sent.append(data)


class Bench:
    """A driver with fakes all around it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wall = 5000.0
        self.engine = FakeEngine()
        self.journal = FakeJournal()
        self.sender = FakeSender()
        self.events = EventHub()
        self.records: list[int] = []
        self.driver = Driver(
            self.engine,
            events=self.events,
            security_log=SecurityLog(clock=lambda: self.now),
            limiter=SourceLimiter(is_trusted=lambda host, now: False, stranger=Rate(1, 100)),
            clock=lambda: self.now,
            wall_clock=lambda: self.wall,
        )
        self.sender.handler = self.driver
        self.driver.connect(
            journal=self.journal, senders={Transport.UDP: self.sender}, on_records=self.records.append
        )

    def turn(self, *outputs: Output) -> None:
        """Let the engine hand out these, and the driver carry them out."""
        self.engine.outputs += outputs
        self.driver.turn_ended()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


def send(
    data: bytes, *, after_journal: bool = False, or_failure: bool = False, to: Flow | Destination = FLOW
) -> Send:
    return Send(to, data, after_journal, or_failure)


def test_sends_what_need_not_wait(bench: Bench) -> None:
    bench.turn(send(b"1"), send(b"2"))

    assert bench.sender.sent == [b"1", b"2"]


def test_a_send_waits_for_the_facts_before_it(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), send(b"200", after_journal=True))
    assert bench.sender.sent == []

    bench.driver.committed(1)
    assert bench.sender.sent == [b"200"]


def test_a_send_does_not_wait_for_facts_after_it(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), send(b"200", after_journal=True), CallSaved("b", ""))
    bench.driver.committed(1)

    assert bench.sender.sent == [b"200"]
    assert bench.journal.position == 2


def test_a_send_waits_for_facts_of_earlier_turns(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""))
    bench.turn(send(b"200", after_journal=True))
    assert bench.sender.sent == []

    bench.driver.committed(1)
    assert bench.sender.sent == [b"200"]


def test_a_send_with_nothing_to_wait_for_leaves_at_once(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""))
    bench.driver.committed(1)
    bench.turn(send(b"200", after_journal=True))

    assert bench.sender.sent == [b"200"]


def test_held_sends_leave_in_order_and_others_overtake_them(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), send(b"first", after_journal=True))
    bench.turn(CallSaved("b", ""), send(b"second", after_journal=True), send(b"other"))
    assert bench.sender.sent == [b"other"]

    bench.driver.committed(2)
    assert bench.sender.sent == [b"other", b"first", b"second"]


def test_a_send_that_may_leave_without_the_journal_does_so_while_that_can_not_be_written(
    bench: Bench,
) -> None:
    bench.turn(CallSaved("a", ""), send(b"answer", after_journal=True))
    bench.turn(CallSaved("b", ""), send(b"registered", after_journal=True, or_failure=True))
    assert bench.sender.sent == []

    bench.driver.journal_failed("disk full")
    assert bench.sender.sent == [b"registered"]
    bench.turn(send(b"registered too", after_journal=True, or_failure=True))
    assert bench.sender.sent == [b"registered", b"registered too"]

    bench.driver.journal_recovered()
    bench.turn(send(b"waits again", after_journal=True, or_failure=True))
    bench.driver.committed(2)
    assert bench.sender.sent == [b"registered", b"registered too", b"answer", b"waits again"]


def test_held_sends_are_dropped_when_nobody_waits_any_more_but_their_facts_are_not(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), send(b"200", after_journal=True))
    bench.now += 31.9
    bench.driver.tidy()
    assert bench.driver.counts.dropped_sends == 0
    bench.now += 0.2
    bench.driver.tidy()
    bench.driver.committed(1)

    assert bench.sender.sent == []
    assert bench.driver.counts.dropped_sends == 1
    [fact] = bench.journal.facts
    assert isinstance(fact, CallSaved)


def test_facts_of_a_turn_are_handed_over_together_and_in_order(bench: Bench) -> None:
    facts = [CallSaved("a", ""), recorded("a"), BindingsChanged("0001", (REGISTRATION,), "")]
    bench.turn(*facts)

    assert bench.journal.facts == facts


def test_the_journal_hears_whether_a_message_waits_for_facts_of_this_turn_or_earlier_ones(
    bench: Bench,
) -> None:
    bindings = BindingsChanged("0001", (REGISTRATION,), "")
    bench.turn(bindings, send(b"200 to a refresh"))
    assert bench.journal.awaited == [False]

    bench.turn(send(b"200 to what is new", after_journal=True))
    assert bench.journal.awaited == [False, True]
    bench.turn(bindings, send(b"200", after_journal=True))
    assert bench.journal.awaited == [False, True, True]


def test_delivery_hears_of_records_when_they_are_on_disk(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), recorded("a"), CallSaved("b", ""), recorded("b"))
    bench.driver.committed(3)
    bench.driver.committed(4)

    assert bench.records == [1, 1]
    assert bench.driver.counts.records == {"answered": 2}


def test_the_engine_hears_of_a_failing_disk(bench: Bench) -> None:
    bench.driver.journal_failed("disk full")
    assert not bench.engine.journal_available
    bench.driver.journal_recovered()
    assert bench.engine.journal_available


def test_the_engine_hears_what_could_not_be_sent_and_its_answer_is_sent(bench: Bench) -> None:
    bench.sender.unreachable = {FLOW}
    bench.engine.on_unsent = [send(b"503", to=OTHER)]
    bench.turn(send(b"INVITE"))

    assert bench.engine.unsent == [(b"INVITE", FLOW)]
    assert bench.sender.sent == [b"503"]


def test_a_held_send_that_fails_is_told_too(bench: Bench) -> None:
    bench.turn(CallSaved("a", ""), send(b"200", after_journal=True))
    bench.sender.unreachable = {FLOW}
    bench.driver.committed(1)

    assert bench.engine.unsent == [(b"200", FLOW)]


def test_what_can_not_be_carried_out_costs_itself_and_nothing_after_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that came in a round is carried out at once: the next may be the record of somebody else's call."""
    bench.sender.broken = {FLOW}
    record = recorded("a")
    bench.turn(send(b"1"), record, send(b"2"), send(b"3", to=OTHER))

    assert bench.journal.facts == [record]
    assert bench.sender.sent == [b"3"]
    assert bench.driver.counts.engine_errors == 2
    assert capsys.readouterr().out.count("output_lost") == 2


def test_there_may_be_no_transport_for_a_destination(bench: Bench) -> None:
    nowhere = Destination(Transport.WS, "192.0.2.1", 80)
    bench.turn(send(b"INVITE", to=nowhere))

    assert bench.engine.unsent == [(b"INVITE", nowhere)]


@pytest.mark.parametrize(
    "happen",
    [
        lambda bench: bench.driver.received(b"x", FLOW),
        lambda bench: bench.driver.flow_closed(FLOW),
        lambda bench: bench.driver.framing_failed(FRAMING_ERROR, FLOW),
        lambda bench: bench.driver._expire(bench.now),
    ],
    ids=["receive", "flow_closed", "framing_failed", "expire"],
)
def test_an_error_of_the_engine_is_logged_and_the_exchange_goes_on(
    bench: Bench, capsys: pytest.CaptureFixture[str], happen: Callable[[Bench], None]
) -> None:
    bench.engine.error = KeyError("a bug")
    happen(bench)
    bench.engine.error = None
    bench.driver.received(b"next", FLOW)
    bench.turn(send(b"answer"))

    assert bench.driver.counts.engine_errors == 1
    assert bench.engine.received == [b"next"]
    assert bench.sender.sent == [b"answer"]
    said = capsys.readouterr().out
    assert "engine_error" in said
    assert "a bug" in said


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_timer_runs_the_engine_when_it_is_due(bench: Bench) -> None:
    bench.engine.deadline = bench.now + 0.01
    bench.driver.turn_ended()
    bench.now += 0.01

    await until(lambda: bench.engine.expired_at == [100.01])


async def test_an_earlier_deadline_moves_the_timer_forward(bench: Bench) -> None:
    bench.engine.deadline = bench.now + 3600
    bench.driver.turn_ended()
    bench.engine.deadline = bench.now
    bench.driver.turn_ended()

    await until(lambda: len(bench.engine.expired_at) == 1)


async def test_a_timer_that_always_fails_leaves_room_for_other_things(bench: Bench) -> None:
    bench.engine.error = KeyError("a bug")
    bench.engine.deadline = bench.now
    bench.driver.turn_ended()
    await until(lambda: len(bench.engine.expired_at) == 1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(bench.engine.expired_at) == 1

    bench.engine.error = None
    bench.now += 0.1
    await until(lambda: len(bench.engine.expired_at) == 2)


async def test_a_timer_that_is_due_fires_in_a_turn_that_takes_place_anyway(bench: Bench) -> None:
    bench.engine.deadline = bench.now + 1.0
    bench.driver.turn_ended()
    bench.now += 0.9
    bench.driver.turn_ended()
    assert bench.engine.expired_at == []

    bench.now += 0.1
    bench.driver.turn_ended()
    assert bench.engine.expired_at == [bench.now]


async def test_what_a_timer_wants_is_carried_out_in_the_same_turn(bench: Bench) -> None:
    expire = bench.engine.expire

    def expire_and_send(now: float) -> None:
        expire(now)
        bench.engine.outputs.append(send(b"sent again"))

    bench.engine.expire = expire_and_send  # type: ignore[method-assign]
    bench.engine.deadline = bench.now
    bench.turn(send(b"answer"))
    assert bench.sender.sent == [b"answer", b"sent again"]


async def test_timers_that_are_due_shortly_after_one_fire_together(bench: Bench) -> None:
    bench.engine.deadline = bench.now
    bench.driver.turn_ended()
    await until(lambda: len(bench.engine.expired_at) == 1)
    bench.engine.deadline = bench.now + 0.005
    bench.driver.turn_ended()
    bench.now += 0.04
    bench.driver.turn_ended()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(bench.engine.expired_at) == 1

    bench.now += 0.01
    await until(lambda: len(bench.engine.expired_at) == 2)


async def test_no_timer_after_the_stop(bench: Bench) -> None:
    bench.engine.deadline = bench.now + 0.001
    bench.driver.turn_ended()
    bench.driver.stop()
    bench.now += 1.0
    for _ in range(10):
        await asyncio.sleep(0.001)

    assert bench.engine.expired_at == []


def test_the_wall_clock_is_followed_when_it_is_set_but_not_in_its_jitter(bench: Bench) -> None:
    assert bench.engine.wall_offset == 4900.0
    bench.wall += 0.001
    bench.driver.turn_ended()
    assert bench.engine.wall_offset == 4900.0
    bench.wall += 3600
    bench.driver.turn_ended()
    assert bench.engine.wall_offset == 8500.001


def test_carries_out_orders_and_what_comes_of_them(bench: Bench) -> None:
    def end_call(now: float) -> bool:
        bench.engine.outputs.append(send(b"BYE"))
        return now == bench.now

    assert bench.driver.operate(end_call, instead=False)
    assert bench.sender.sent == [b"BYE"]


def test_an_order_that_fails_is_an_error_of_the_engine(bench: Bench) -> None:
    def fail(now: float) -> int:
        raise KeyError("a bug")

    assert bench.driver.operate(fail, instead=0) == 0
    assert bench.driver.counts.engine_errors == 1


async def test_watchers_see_calls_registrations_and_attacks(bench: Bench) -> None:
    call = LiveCall("5f0c", "a@b", "0001", "0002", LiveCallState.ENDED, False, 1.0, None, None)  # noqa: FBT003
    attack = SecurityEvent(SecurityEventKind.WRONG_PASSWORD, FLOW, "0001", "Wrong password")
    with bench.events.subscribe() as watcher:
        bench.turn(CallChanged(call), BindingsChanged("0001", (), ""), attack)

        assert b'"state":"ended"' in await watcher.next()
        assert await watcher.next() == (
            b'event: registration\ndata: {"number":"0001","registrations":[]}\n\n'
        )
        assert b'"source":"192.0.2.1:5060"' in await watcher.next()
        for number, in_service in (("0001", b"true"), (OUT_OF_SERVICE, b"false")):
            bench.turn(BindingsChanged(number, (REGISTRATION._replace(number=number),), ""))
            assert b'"in_service":' + in_service in await watcher.next()
    assert bench.driver.counts.security_events == {"wrong_password": 1}


def test_a_flood_from_one_source_is_not_looked_at_and_told_of_once(bench: Bench) -> None:
    for _ in range(150):
        bench.driver.received(b"x", FLOW)
    other = Flow(Transport.UDP, ("192.0.2.77", 5060), FLOW.local)
    bench.driver.received(b"y", other)

    assert len(bench.engine.received) == 101
    assert bench.engine.received[-1] == b"y"
    assert bench.driver.counts.security_events == {"rate_limited": 1}


def test_a_call_that_the_rules_refuse_is_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    answered = recorded("a")
    assert isinstance(answered, CallRecorded)
    refusal = answered.record._replace(outcome=Outcome.REJECTED, status=403, reason="Your account is closed")
    bench.turn(answered, CallRecorded(refusal))
    (line,) = capsys.readouterr().out.splitlines()

    for part in ("call_refused", "caller=0001", "callee=0002", "status=403", "Your account is closed"):
        assert part in line


def test_what_repeats_is_not_told_to_watchers_either(bench: Bench) -> None:
    event = SecurityEvent(SecurityEventKind.WRONG_PASSWORD, FLOW, "0001", "REGISTER with a wrong password")
    with bench.events.subscribe() as watcher:
        bench.turn(*[event] * 5000)

        assert not watcher.fell_behind
    assert bench.driver.counts.security_events == {"wrong_password": 5000}


def test_counts_what_comes_and_what_goes(bench: Bench) -> None:
    for data in (b"INVITE sip:a SIP/2.0", b"INVITE sip:a SIP/2.0", b"SIP/2.0 180 Ringing", b"FOO", b""):
        bench.driver.received(data, FLOW)
    bench.turn(send(b"SIP/2.0 180 Ringing"), send(b"SIP/2.0 180 Ringing"), send(b"BYE sip:a SIP/2.0"))
    counts = bench.driver.counts

    assert (counts.requests[b"INV"], counts.requests[b"SIP"], counts.other_requests) == (2, 1, 2)
    assert counts.responses_sent == {b"180": 2}


def test_measures_what_messages_wait_for(bench: Bench) -> None:
    bench.driver.received(b"x", FLOW)
    bench.now += 0.003
    bench.turn(CallSaved("a", ""), send(b"200", after_journal=True))
    assert (bench.driver.waiting_facts, bench.driver.held_sends) == (1, 1)
    bench.now += 0.04
    bench.driver.committed(1)

    assert bench.driver.counts.turns.total_s == pytest.approx(0.003)
    assert bench.driver.counts.journal_waits.total_s == pytest.approx(0.04)
    assert (bench.driver.waiting_facts, bench.driver.held_sends) == (0, 0)
