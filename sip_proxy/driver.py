"""Runs the engine: what transports bring goes in, what comes out goes to phones, journal and watchers.

Everything here happens on the event loop, in turns: a burst of messages goes into the engine, then its
outputs are carried out, then one timer is set for its next deadline.

Sends that must wait for the journal are held until their facts are on disk (`held_sends.py`). Other sends
overtake them: SIP promises no order between transactions, and within one nothing but the same answer follows
a final answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

import structlog

from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.exchange_view import (
    call_document,
    phone_test_document,
    registration_document,
    security_document,
    source_of,
)
from sip_proxy.adapters.journal_store import Fact
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.adapters.trace import Trace, TracedMessage
from sip_proxy.core.dialog.call_record import CallRecord, Outcome
from sip_proxy.core.engine import Engine
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    CallRecorded,
    CallSaved,
    Output,
    PhoneTested,
    SecurityEvent,
    SecurityEventKind,
    Send,
)
from sip_proxy.counts import Counts
from sip_proxy.held_sends import HeldSends
from sip_proxy.transport.handler import MessageSender
from sip_proxy.transport.source_limit import SourceLimiter

# The event loop's timers count milliseconds: one that fires a little early would have to be set again.
_TIMER_STEP_S = 0.001
_CLOCK_SET_S = 0.002
_PAUSE_AFTER_ERROR_S = 0.1

log = structlog.get_logger()

Result = TypeVar("Result")


class FactKeeper(Protocol):
    """The journal, as the driver uses it."""

    @property
    def position(self) -> int:
        """How many facts were handed over."""

    def append(self, facts: list[Fact]) -> int:
        """Hand over facts; return the position of the last."""


class Driver:
    """Drives one engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        events: EventHub,
        security_log: SecurityLog,
        limiter: SourceLimiter,
        trace: Trace | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._events = events
        self._security_log = security_log
        self._limiter = limiter
        self._trace = trace or Trace()
        self._clock = clock
        self._wall_clock = wall_clock
        self._journal: FactKeeper | None = None
        self._on_records: Callable[[int], None] | None = None
        self._senders: Mapping[Transport, MessageSender] = {}
        self._held = HeldSends()
        self._committed = 0
        # Positions of facts that are records: told on when they are committed.
        self._record_positions: deque[int] = deque()
        self._unable_to_send: list[Flow | Destination] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._not_before = 0.0
        self._now = clock()
        self._turn_began_at = 0.0
        self.counts = Counts()
        self._keep_wall_offset(self._now)

    def connect(
        self,
        *,
        journal: FactKeeper,
        senders: Mapping[Transport, MessageSender],
        on_records: Callable[[int], None],
    ) -> None:
        """Say where outputs go. `on_records` hears how many call records have reached the disk."""
        self._journal = journal
        self._senders = senders
        self._on_records = on_records

    # What transports tell (TransportHandler).

    def received(self, data: bytes, flow: Flow) -> None:
        """A message has come. Whatever it does to the engine, the exchange goes on."""
        now = self._clock()
        if not self._limiter.admits(flow.remote[0], now):
            self._tell_flood(flow, now)
            return
        if not self._turn_began_at:
            self._turn_began_at = now
        counts = self.counts
        beginning = data[:3]
        if beginning in counts.requests:
            counts.requests[beginning] += 1
        else:
            counts.other_requests += 1
        self._trace.came(data, flow, now)
        # Written out, not with `_errors_logged`: this is where nearly all the time goes.
        try:
            self._engine.receive(data, flow, now)
        except Exception:
            log.exception("engine_error", peer=source_of(flow))
            self.counts.engine_errors += 1

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        """A stream can't be cut into messages: the engine has a last word."""
        with self._errors_logged(flow):
            self._engine.framing_failed(error, flow, self._clock())

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone."""
        with self._errors_logged(flow):
            self._engine.flow_closed(flow, self._clock())

    def unable_to_send(self, to: Flow | Destination) -> None:
        """A send failed. This may be in the middle of carrying out outputs: the engine hears of it after."""
        self._unable_to_send.append(to)

    def turn_ended(self) -> None:
        """Carry out what the engine wants, until it wants nothing more; then set the timer."""
        self._now = self._clock()
        self._keep_wall_offset(self._now)
        engine = self._engine
        facts: list[Fact] = []
        while True:
            for output in engine.take_outputs():
                self._carry_out(output, facts)
            if not self._unable_to_send:
                break
            failed, self._unable_to_send = self._unable_to_send, []
            for to in failed:
                with self._errors_logged(to):
                    engine.unable_to_send(to, self._clock())
        if facts:
            assert self._journal is not None
            self._journal.append(facts)
        if self._turn_began_at:
            self.counts.turns.observe(self._clock() - self._turn_began_at)
            self._turn_began_at = 0.0
        self._set_timer()

    # What the journal tells (JournalListener).

    @property
    def waiting_facts(self) -> int:
        """How many facts are not on disk yet."""
        return 0 if self._journal is None else self._journal.position - self._committed

    @property
    def held_sends(self) -> int:
        """How many messages wait for the disk."""
        return len(self._held)

    def committed(self, position: int) -> None:
        """All facts up to this position are on disk: sends that waited for them may leave."""
        self._committed = position
        if self._held:
            self._now = now = self._clock()
            for send, held_at in self._held.release(position):
                self.counts.journal_waits.observe(now - held_at)
                self._transmit(send)
        records = 0
        while self._record_positions and self._record_positions[0] <= position:
            self._record_positions.popleft()
            records += 1
        if records and self._on_records is not None:
            self._on_records(records)
        if self._unable_to_send:
            self.turn_ended()

    def journal_failed(self, error: str) -> None:
        """No new calls while they can't be kept."""
        self._engine.journal_available = False
        log.error("journal_failed", error=error, effect="new calls are refused until it can be written again")

    def journal_recovered(self) -> None:
        """Calls can be kept again."""
        self._engine.journal_available = True
        log.info("journal_recovered")

    # For the operator.

    def end_call(self, call_id: str) -> bool:
        """End a live call by its id; False when there is none."""
        return self._operate(lambda now: self._engine.end_call(call_id, now), instead=False)

    def end_all_calls(self) -> int:
        """End all live calls but emergency calls; return how many."""
        return self._operate(self._engine.end_all_calls, instead=0)

    def go_offline(self, drain_s: float | None) -> None:
        """Take no new calls; end those in progress after so many seconds (None: never)."""
        self._operate(lambda now: self._engine.go_offline(drain_s, now), instead=None)

    def go_online(self) -> None:
        """Take calls again."""
        self._operate(self._engine.go_online, instead=None)

    def test_phone(self, number: str) -> bool:
        """Test the phones of a number; False when it has none."""
        return self._operate(lambda now: self._engine.test_phone(number, now), instead=False)

    def reset_phone(self, number: str) -> bool:
        """Ask the phones of a number to start anew; False when it has none."""
        return self._operate(lambda now: self._engine.reset_phone(number, now), instead=False)

    def directory_changed(self) -> None:
        """What an administrator may change has changed."""
        self._operate(self._engine.directory_changed, instead=None)

    def trace_of(self, call_id: str) -> list[TracedMessage]:
        """Return what is kept of the messages with this Call-ID, oldest first."""
        return self._trace.of_call(call_id)

    def tidy(self) -> None:
        """Let go of what nobody waits for any longer. Call it every few seconds."""
        self.counts.dropped_sends += self._held.drop_old(self._clock())
        self._security_log.report_suppressed()

    def stop(self) -> None:
        """Set no more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _operate(self, order: Callable[[float], Result], *, instead: Result) -> Result:
        """Have the engine carry out an order; return what it says, or something else should it fail."""
        result = instead
        with self._errors_logged(None):
            result = order(self._clock())
        self.turn_ended()
        return result

    def _carry_out(self, output: Output, facts: list[Fact]) -> None:
        kind = type(output)
        if kind is Send:
            assert isinstance(output, Send)
            self._send(output, len(facts))
        elif isinstance(output, CallRecorded):
            facts.append(output)
            self.counts.records[output.record.outcome.value] += 1
            if output.record.ringing_at is not None:
                self.counts.ringing.observe(output.record.ringing_at - output.record.invited_at)
            if output.record.outcome is Outcome.REJECTED:
                _log_refusal(output.record)
            assert self._journal is not None
            self._record_positions.append(self._journal.position + len(facts))
        elif isinstance(output, CallSaved):
            facts.append(output)
        elif isinstance(output, BindingsChanged):
            facts.append(output)
            if self._events.has_watchers:
                marked = self._engine.with_test_results(output.registrations)
                registrations = [registration_document(one) for one in marked]
                self._events.publish(
                    "registration", {"number": output.number, "registrations": registrations}
                )
        elif isinstance(output, CallChanged):
            if self._events.has_watchers:
                self._events.publish("call", call_document(output.call))
        elif isinstance(output, PhoneTested):
            if self._events.has_watchers:
                self._events.publish("phone_test", phone_test_document(output))
        else:
            self._tell_security(output)

    def _tell_security(self, event: Output) -> None:
        assert isinstance(event, SecurityEvent)
        self.counts.security_events[event.kind.value] += 1
        # What is not logged is not told either: a flood would cut off everyone who watches.
        if self._security_log.write(event) and self._events.has_watchers:
            self._events.publish("security", security_document(event, self._wall_clock()))

    def _tell_flood(self, flow: Flow, now: float) -> None:
        if self._limiter.is_to_be_reported(flow.remote[0], now):
            detail = "More messages than one source may send: the rest is not looked at"
            self._tell_security(SecurityEvent(SecurityEventKind.RATE_LIMITED, flow, "", detail))

    def _send(self, send: Send, new_facts: int) -> None:
        if send.after_journal:
            assert self._journal is not None
            position = self._journal.position + new_facts
            if position > self._committed:
                self._held.hold(send, position, self._now)
                return
        self._transmit(send)

    def _transmit(self, send: Send) -> None:
        sender = self._senders.get(send.to.transport)
        if sender is None:
            self._unable_to_send.append(send.to)
        else:
            data = send.data
            if data.startswith(b"SIP/"):
                self.counts.responses_sent[data[8:11]] += 1
            self._trace.went(data, send.to, self._now)
            sender.send(data, send.to)

    def _keep_wall_offset(self, now: float) -> None:
        """Follow the wall clock when it is set, but not the jitter of reading two clocks."""
        offset = self._wall_clock() - now
        if abs(offset - self._engine.wall_offset) > _CLOCK_SET_S:
            self._engine.wall_offset = offset

    def _set_timer(self) -> None:
        """Set the one timer; one that is due early enough already stays, and finds nothing to do."""
        deadline = self._engine.next_deadline()
        if deadline is None:
            return
        due = max(deadline, self._not_before)
        if self._timer is not None:
            if self._timer_due <= due + _TIMER_STEP_S:
                return
            self._timer.cancel()
        delay = max(0.0, due - self._clock()) + _TIMER_STEP_S
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        errors = self.counts.engine_errors
        with self._errors_logged(None):
            self._engine.expire(self._clock())
        if self.counts.engine_errors > errors:
            # Should the same timer be due again at once, the exchange must still get to do other things.
            self._not_before = self._clock() + _PAUSE_AFTER_ERROR_S
        self.turn_ended()

    @contextmanager
    def _errors_logged(self, peer: Flow | Destination | None) -> Iterator[None]:
        """An error of the engine's own costs a log line and what it was doing, nothing else."""
        try:
            yield
        except Exception:
            log.exception("engine_error", peer=source_of(peer) if isinstance(peer, Flow) else str(peer))
            self.counts.engine_errors += 1


def _log_refusal(record: CallRecord) -> None:
    """One line for each call that the rules of the exchange did not allow."""
    log.info(
        "call_refused",
        call_id=record.call_id,
        caller=record.caller,
        callee=record.callee,
        status=record.status,
        reason=record.reason,
    )
