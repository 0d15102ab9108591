"""Billed exactly once: messages are lost, doubled and reordered, phones do as they like, the process dies."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.core.dialog.call_record import Outcome
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import CallSaved, LiveCallState, Send
from tests.support.examples import examples
from tests.support.sip_phones import Attempt, Exchange, Phone, callee_request, destination


class LossyWorld:
    """Two phones on a network that loses, doubles and delays, by a script that Hypothesis writes."""

    def __init__(self, fates: list[int]) -> None:
        self.exchange = Exchange()
        self.caller = self.exchange.phone("0001")
        self.callee = self.exchange.phone("0002")
        self.attempt: Attempt = self.caller.invite("0002")
        self.fates = fates
        self.delayed: list[tuple[Phone, bytes]] = []
        self.callee_cseq = 100

    def fate(self) -> int:
        """What happens to the next message: 0 to 2 it arrives, 3 it is lost, 4 it comes twice, 5 late."""
        return self.fates.pop() if self.fates else 0

    def send(self, phone: Phone, data: bytes) -> None:
        """A phone sends, and the network does what it does."""
        fate = self.fate()
        if fate == 5:
            self.delayed.append((phone, data))
        elif fate != 3:
            for _ in range(2 if fate == 4 else 1):
                phone.send(data)

    def let_the_late_arrive(self) -> None:
        """What was delayed comes now, last first."""
        while self.delayed:
            phone, data = self.delayed.pop()
            phone.send(data)

    def invite(self) -> Request | None:
        """The INVITE as the callee has it."""
        invites = self.callee.requests("INVITE")
        return invites[-1] if invites else None

    def answer(self, status: int) -> None:
        """The callee answers the INVITE."""
        invite = self.invite()
        if invite is not None:
            quiet = _Recorder(self.callee)
            quiet.answer(invite, status)
            self.send(self.callee, quiet.data)

    def answer_other_requests(self, phone: Phone) -> None:
        """A phone answers BYE and CANCEL as it must."""
        for method in ("BYE", "CANCEL"):
            for request in phone.requests(method):
                quiet = _Recorder(phone)
                quiet.answer(request, 200)
                self.send(phone, quiet.data)

    def has_answer(self) -> bool:
        """Whether the caller has heard of an answer."""
        return 200 in self.attempt.statuses

    def step(self, action: str) -> None:
        """One thing happens."""
        if action == "ring":
            self.answer(180)
        elif action == "pick up":
            self.answer(200)
        elif action == "refuse":
            self.answer(486)
        elif action == "terminate":
            self.answer(487)
        elif action == "again":
            self.send(self.caller, self.attempt.data)
        elif action == "late":
            self.let_the_late_arrive()
        elif action == "respond":
            self.answer_other_requests(self.callee)
            self.answer_other_requests(self.caller)
        elif action == "cancel":
            self.send(self.caller, self.caller.build(
                "CANCEL", self.attempt.uri, to=self.attempt.to, call_id=self.attempt.call_id,
                from_tag=self.attempt.from_tag, cseq=self.attempt.cseq, branch=self.attempt.branch,
            ))  # fmt: skip
        elif action == "wait":
            self.exchange.advance(3)
        elif action == "callee hangs up" and self.invite() is not None:
            self.callee_cseq += 1
            self.send(self.callee, callee_request(self.callee, self.invite(), "BYE", cseq=self.callee_cseq))  # type: ignore[arg-type]
        elif action == "kill -9":
            self.exchange.restart()
        elif self.has_answer() and action == "ack":
            self.send(self.caller, self.attempt.in_dialog("ACK"))
        elif self.has_answer() and action == "caller hangs up":
            self.send(self.caller, self.attempt.in_dialog("BYE", cseq=self.attempt.cseq + 1))
        elif self.has_answer() and action == "info":
            self.send(self.caller, self.attempt.in_dialog("INFO", cseq=self.attempt.cseq + 1))


class _Recorder(Phone):
    """Builds what a phone would send without sending it."""

    def __init__(self, phone: Phone) -> None:
        self.__dict__.update(phone.__dict__)
        self.data = b""

    def send(self, data: bytes) -> None:
        self.data = data


ACTIONS = [
    "ring", "pick up", "refuse", "terminate", "again", "late", "respond", "cancel", "wait", "ack", "info",
    "caller hangs up", "callee hangs up",
]  # fmt: skip

FATES = st.lists(st.integers(0, 5), max_size=40)


def check(world: LossyWorld, *, was_killed: bool) -> None:
    """After the dust has settled there is one record, and it is true."""
    exchange = world.exchange
    for _ in range(4):
        world.let_the_late_arrive()
        exchange.advance(70)
    for live in exchange.engine.live_calls():
        assert live.state is LiveCallState.ANSWERED  # nothing rings for ever
        exchange.engine.end_call(live.id, exchange.now)
    exchange.deliver()
    exchange.advance(200)
    records = exchange.records
    saved = {output.record_id for output in exchange.outputs if isinstance(output, CallSaved)}
    if was_killed and not records:
        assert not saved
        return
    (record,) = records
    answered = 200 in world.attempt.statuses
    assert not answered or record.outcome is Outcome.ANSWERED
    if record.outcome is Outcome.ANSWERED:
        assert saved == {record.record_id}
        assert record.answered_at is not None
        assert math.isclose(record.ended_at - record.answered_at, record.duration_us / 1e6, abs_tol=1e-5)
    else:
        assert record.duration_us == 0
        assert record.answered_at is None
        finals = [status for status in world.attempt.statuses if status >= 200]
        assert not finals or record.status in finals
    assert not exchange.engine.live_calls()
    assert len(exchange.engine._exchange.layer) == 0
    assert exchange.engine._calls._by_call_id == {}
    known = {phone.address for phone in (world.caller, world.callee)}
    assert all(destination(output.to) in known for output in exchange.outputs if isinstance(output, Send))


@settings(max_examples=examples(150))
@given(st.lists(st.sampled_from(ACTIONS), max_size=25), FATES)
def test_every_attempt_has_exactly_one_record(actions: list[str], fates: list[int]) -> None:
    world = LossyWorld(fates)
    for action in actions:
        world.step(action)
    check(world, was_killed=False)


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from([*ACTIONS, "kill -9"]), max_size=25), FATES)
def test_no_answered_call_is_lost_or_doubled_by_a_crash(actions: list[str], fates: list[int]) -> None:
    world = LossyWorld(fates)
    for action in actions:
        world.step(action)
    check(world, was_killed="kill -9" in actions)
