"""Call accounting that cannot be fooled: any order, loss, duplication and forking, crashes, dead phones."""

from enum import Enum

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sip_proxy.core.dialog.call_record import CallRecord, Outcome
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import CallSaved
from tests.support.examples import examples
from tests.support.sip_phones import WALL_OFFSET, Attempt
from tests.support.sip_weather import HonestPhone, StormyExchange

ANY = st.integers(0, 10_000)


class Fate(Enum):
    """What the network does with a packet."""

    ARRIVES = "arrives"
    IS_LOST = "is lost"
    COMES_TWICE = "comes twice"
    IS_LATE = "is late"


class CallRecords(RuleBasedStateMachine):
    """Two callers, and a number with two phones."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = StormyExchange()
        self.callers = [
            HonestPhone(self.exchange, "0001", "one"),
            HonestPhone(self.exchange, "0003", "three"),
        ]
        self.called = [
            HonestPhone(self.exchange, "0002", "two-a"),
            HonestPhone(self.exchange, "0002", "two-b"),
        ]
        self.attempts: list[tuple[HonestPhone, Attempt]] = []
        self.cseq = 100
        self.checked = 0
        self.exchange.is_calm = False

    def a_call(self, which: int) -> tuple[HonestPhone, Attempt]:
        return self.attempts[which % len(self.attempts)]

    def an_invite(self, phone: int, which: int) -> tuple[HonestPhone, Request] | None:
        called = self.called[phone % 2]
        invites = called.invites()
        return (called, invites[which % len(invites)]) if invites else None

    @initialize(caller=ANY, picks_up=ANY, progress=st.integers(0, 5))
    def first_call(self, caller: int, picks_up: int, progress: int) -> None:
        self.call(caller, picks_up, progress)

    @precondition(lambda self: len(self.attempts) < 4)
    @rule(caller=ANY, picks_up=ANY, progress=st.integers(0, 5))
    def call(self, caller: int, picks_up: int, progress: int) -> None:
        """Call, and go on with it for a while in good weather: to the phones, the answer, the ACK."""
        phone = self.callers[caller % 2]
        if not phone.has_power:
            return
        self.attempts.append((phone, phone.call("0002")))
        if progress >= 1:
            self.carry([], commits=progress > 1, rounds=1)
        if progress >= 2:
            self.pick_up(picks_up, -1)
            self.carry([], commits=progress > 3, rounds=progress - 2)

    # The network and the journal.

    @rule(fates=st.lists(st.sampled_from(Fate), max_size=12), commits=st.booleans(), rounds=st.integers(1, 4))
    def carry(self, fates: list[Fate], commits: bool, rounds: int) -> None:
        """What is in flight arrives, but for what the fates say; so do the answers to it, round by round."""
        exchange = self.exchange
        for _ in range(rounds):
            packets, exchange.wire = exchange.wire, []
            for packet in packets:
                fate = fates.pop(0) if fates else Fate.ARRIVES
                if fate is Fate.IS_LATE:
                    exchange.wire.insert(0, packet)
                elif fate is not Fate.IS_LOST:
                    for _ in range(2 if fate is Fate.COMES_TWICE else 1):
                        exchange.arrive(packet)
            if commits:
                exchange.commit(len(exchange.uncommitted))

    @precondition(lambda self: self.exchange.wire)
    @rule(which=ANY)
    def deliver_one(self, which: int) -> None:
        self.exchange.arrive(self.exchange.wire.pop(which % len(self.exchange.wire)))

    @precondition(lambda self: self.exchange.uncommitted)
    @rule(count=st.integers(1, 3))
    def commit(self, count: int) -> None:
        self.exchange.commit(count)

    @rule(seconds=st.sampled_from([0.1, 0.6, 5.0, 33.0, 61.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.exchange.advance(seconds)

    @precondition(lambda self: self.exchange.begun)
    @rule()
    def kill(self) -> None:
        self.exchange.kill()

    # The phones.

    @rule(phone=ANY, which=ANY, status=st.sampled_from([180, 183, 486, 603]))
    def reply(self, phone: int, which: int, status: int) -> None:
        found = self.an_invite(phone, which)
        if found is not None:
            found[0].reply(found[1], status)

    @rule(phone=ANY, which=ANY)
    def pick_up(self, phone: int, which: int) -> None:
        """Answer, or repeat the final answer that was given."""
        self.reply(phone, which, 200)

    @rule(phone=ANY, which=ANY)
    def called_side_hangs_up(self, phone: int, which: int) -> None:
        """Whether or not it is in the call: the BYE of the wrong leg must change nothing."""
        found = self.an_invite(phone, which)
        if found is not None:
            self.cseq += 1
            found[0].hang_up(found[1], self.cseq)

    @rule(which=ANY)
    def caller_repeats_its_invite(self, which: int) -> None:
        caller, attempt = self.a_call(which)
        caller.send(attempt.data)

    @rule(which=ANY)
    def caller_cancels(self, which: int) -> None:
        caller, attempt = self.a_call(which)
        if not caller.heard_answer(attempt):
            attempt.cancel()

    @rule(which=ANY, method=st.sampled_from(["BYE", "BYE", "INVITE", "INFO"]))
    def caller_sends(self, which: int, method: str) -> None:
        """Hang up, hold, or send something, once it knows that the call is answered."""
        caller, attempt = self.a_call(which)
        if caller.heard_answer(attempt):
            self.cseq += 1
            caller.send(attempt.in_dialog(method, cseq=self.cseq))
            if method == "BYE":
                caller.in_call.discard(attempt.call_id)

    @rule(phone=ANY, has_power=st.booleans())
    def power(self, phone: int, has_power: bool) -> None:
        (self.callers + self.called)[phone % 4].has_power = has_power

    @rule(which=ANY)
    def operator_ends_a_call(self, which: int) -> None:
        live = self.exchange.engine.live_calls()
        if live:
            self.exchange.engine.end_call(live[which % len(live)].id, self.exchange.now)
            self.exchange.deliver()

    # What must hold.

    @invariant()
    def records_tell_the_truth(self) -> None:
        for emitted_at, record in self.exchange.recorded[self.checked :]:
            self.check_times(emitted_at, record)
        self.checked = len(self.exchange.recorded)

    @invariant()
    def nothing_is_recorded_twice(self) -> None:
        records = self.exchange.durable_records()
        assert len({record.record_id for record in records}) == len(records)
        assert len({record.call_id for record in records}) == len(records)

    @invariant()
    def who_was_told_that_the_call_is_over_can_rely_on_it(self) -> None:
        """A BYE is accepted when the record is on disk: whoever sent it doesn't repeat it."""
        for caller, attempt in self.attempts:
            if caller.heard_answer(attempt):
                phones = (caller, *self.called)
                accepted = [
                    response
                    for phone in phones
                    for response in phone.responses("BYE")
                    if response.call_id == attempt.call_id and response.status == 200
                ]
                assert not accepted or self.exchange.durable_records(attempt.call_id)

    @invariant()
    def live_calls_are_counted(self) -> None:
        engine = self.exchange.engine
        assert engine._calls.counts.total == len(engine.live_calls())

    def check_times(self, emitted_at: float, record: CallRecord) -> None:
        heard_at = self.exchange.heard_at[record.call_id]
        instants = [record.invited_at, record.ringing_at, record.answered_at, record.acknowledged_at]
        known = [instant - WALL_OFFSET for instant in instants if instant is not None]
        for instant in known:
            assert any(instant == pytest.approx(heard, abs=1e-5) for heard in heard_at)
        assert known == sorted(known)
        ended = record.ended_at - WALL_OFFSET
        assert ended >= known[-1] - 1e-5
        if record.answered_at is None:
            assert (record.duration_us, record.outcome) != (0, Outcome.ANSWERED)
            assert ended == pytest.approx(emitted_at, abs=1e-5)
            return
        assert record.outcome is Outcome.ANSWERED
        assert record.duration_us / 1e6 == pytest.approx(record.ended_at - record.answered_at, abs=1e-4)
        # It ended when it was ended, or else at a sign of life.
        assert any(ended == pytest.approx(instant, abs=1e-5) for instant in (emitted_at, *heard_at))

    def teardown(self) -> None:
        """The weather clears up, the phones hang up: every attempt has exactly one record."""
        exchange = self.exchange
        for _ in range(5):
            self.carry([], commits=True, rounds=6)
            exchange.advance(61)
        exchange.engine.end_all_calls(exchange.now)
        exchange.deliver()
        for _ in range(5):
            self.carry([], commits=True, rounds=6)
            exchange.advance(61)
        self.records_tell_the_truth()
        self.nothing_is_recorded_twice()
        saved = {fact.record_id for fact in exchange.durable if isinstance(fact, CallSaved)}
        for caller, attempt in self.attempts:
            self.check_attempt(caller, attempt, saved)
        assert exchange.engine.live_calls() == []
        assert len(exchange.engine._exchange.layer) == 0
        assert exchange.engine._calls._by_call_id == {}
        assert exchange.engine._calls.counts.of("0002") == 0

    def check_attempt(self, caller: HonestPhone, attempt: Attempt, saved: set[str]) -> None:
        records = self.exchange.durable_records(attempt.call_id)
        begun = self.exchange.begun[attempt.call_id]
        assert begun <= 1
        if self.exchange.processes == 1:
            assert len(records) == begun
        if caller.heard_answer(attempt):
            assert [record.outcome for record in records] == [Outcome.ANSWERED]
        for record in records:
            assert (record.record_id in saved) is (record.outcome is Outcome.ANSWERED)


CallRecords.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40)
TestCallRecords = CallRecords.TestCase
