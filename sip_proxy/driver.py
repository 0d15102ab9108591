"""Runs the engine: what transports bring goes in, what comes out goes to phones, journal and watchers.

Everything here happens on the event loop, in turns: a burst of messages goes into the engine, then its
outputs are carried out (`outbox.py`, `announcements.py`), then one timer is set for its next deadline.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Final, TypeVar

import structlog

from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.exchange_view import source_of
from sip_proxy.adapters.journal_store import Fact
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.adapters.trace import Trace
from sip_proxy.announcements import Announcements
from sip_proxy.clock import elapsed
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    CallRecorded,
    CallSaved,
    PhoneTested,
    SecurityEvent,
    Send,
)
from sip_proxy.counts import Counts
from sip_proxy.driven_engine import DrivenEngine
from sip_proxy.outbox import FactKeeper, Outbox
from sip_proxy.transport.handler import MessageSender
from sip_proxy.transport.source_limit import SourceLimiter

# The event loop's timers count milliseconds: one that fires a little early would have to be set again.
_TIMER_STEP_S: Final = 0.001
_CLOCK_SET_S: Final = 0.002
# A call leaves several timers behind that only let go of what is over, each due at an instant of its own. One
# that comes alone fires in time; under load they fire together, and rather in a turn that takes place anyway
# than in one of their own: being woken costs more than what they do.
_EXPIRY_INTERVAL_S: Final = 0.05
_EXPIRY_AHEAD_S: Final = 0.005
_PAUSE_AFTER_ERROR_S: Final = 0.1

log: Final = structlog.get_logger()

Result = TypeVar("Result")


class Driver:
    """Drives one engine. It is the handler of all transports and the listener of the journal."""

    def __init__(
        self,
        engine: DrivenEngine,
        *,
        events: EventHub,
        security_log: SecurityLog,
        limiter: SourceLimiter,
        trace: Trace | None = None,
        clock: Callable[[], float] = elapsed,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`connect` must be called before anything comes or happens."""
        self._engine = engine
        self._limiter = limiter
        self._trace = trace or Trace()
        self._clock = clock
        self._wall_clock = wall_clock
        self.counts = Counts()
        self._announcements = Announcements(
            engine, events=events, security_log=security_log, counts=self.counts, wall_clock=wall_clock
        )
        self._outbox: Outbox
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf  # as long as there is no timer
        self._not_before = 0.0
        self._turn_began_at = 0.0
        self._wall_offset = engine.wall_offset = wall_clock() - clock()

    def connect(
        self,
        *,
        journal: FactKeeper,
        senders: Mapping[Transport, MessageSender],
        on_records: Callable[[int], None],
    ) -> None:
        """Say where outputs go. `on_records` hears how many call records have reached the disk."""
        self._outbox = Outbox(
            journal=journal, senders=senders, on_records=on_records, trace=self._trace, counts=self.counts
        )

    # What transports tell (TransportHandler).

    def received(self, data: bytes, flow: Flow) -> bool:
        """A message has come. Whatever it does to the engine, the exchange goes on."""
        now = self._clock()
        if not self._limiter.admits(flow.remote[0], now):
            if self._limiter.is_to_be_reported(flow.remote[0], now):
                self._announcements.flooded(flow)
            return False
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
            counts.engine_errors += 1
        return True

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        """A stream can't be cut into messages: the engine has a last word."""
        with self._errors_logged(flow):
            self._engine.framing_failed(error, flow, self._clock())

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone."""
        with self._errors_logged(flow):
            self._engine.flow_closed(flow, self._clock())

    def unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        """A send failed. This may be in the middle of carrying out outputs: the engine hears of it after."""
        self._outbox.unable_to_send.append((data, to))

    def turn_ended(self) -> None:
        """Carry out what the engine wants and let timers fire, until there is nothing more; set the next."""
        now = self._clock()
        offset = self._wall_clock() - now
        if not -_CLOCK_SET_S <= offset - self._wall_offset <= _CLOCK_SET_S:
            # Follow the wall clock when it is set, but not the jitter of reading two clocks.
            self._wall_offset = self._engine.wall_offset = offset
        engine, outbox = self._engine, self._outbox
        while True:
            outputs = engine.take_outputs()
            done = 0
            while done < len(outputs):
                # One that can't be carried out costs itself: the next may be the record of a call.
                try:
                    for output in outputs[done:] if done else outputs:
                        done += 1
                        if isinstance(output, Send):
                            if output.after_journal:
                                outbox.send_after_facts(output, now)
                            else:
                                outbox.send(output, now)
                        else:
                            self._carry_out(output)
                except Exception:
                    log.exception("output_lost", output=repr(outputs[done - 1]))
                    self.counts.engine_errors += 1
            if outbox.unable_to_send:
                self._tell_of_failed_sends()
                continue
            deadline = engine.next_deadline()
            if deadline is None or deadline > now or now < self._not_before - _EXPIRY_AHEAD_S:
                break
            self._expire(now)
        if outbox.has_news_for_journal:
            outbox.hand_over_facts()
        if self._turn_began_at:
            self.counts.turns.observe(self._clock() - self._turn_began_at)
            self._turn_began_at = 0.0
        if deadline is not None:
            due = deadline if deadline > self._not_before else self._not_before
            # A timer that is due early enough already stays, and finds nothing to do.
            if due + _TIMER_STEP_S < self._timer_due:
                self._set_timer(due)

    # What the journal tells (JournalListener).

    def committed(self, position: int) -> None:
        """All facts up to this position are on disk: sends that waited for them may leave."""
        self._outbox.committed(position, self._clock())
        if self._outbox.unable_to_send:
            self.turn_ended()

    def journal_failed(self, error: str) -> None:
        """No new calls while they can't be kept."""
        self._engine.journal_available = False
        self._outbox.journal_failed(self._clock())
        if self._outbox.unable_to_send:
            self.turn_ended()
        log.error("journal_failed", error=error, effect="new calls are refused until it can be written again")

    def journal_recovered(self) -> None:
        """Calls can be kept again."""
        self._engine.journal_available = True
        self._outbox.journal_recovered()
        log.info("journal_recovered")

    # What the server and its operator ask.

    @property
    def waiting_facts(self) -> int:
        """How many facts are not on disk yet."""
        return self._outbox.waiting_facts

    @property
    def held_sends(self) -> int:
        """How many messages wait for the disk."""
        return self._outbox.held_sends

    def operate(self, order: Callable[[float], Result], *, instead: Result) -> Result:
        """Have the engine carry out an order; return what it says, or something else should it fail."""
        result = instead
        with self._errors_logged(None):
            result = order(self._clock())
        self.turn_ended()
        return result

    def tidy(self) -> None:
        """Let go of what nobody waits for any longer. Call it every few seconds."""
        self._outbox.drop_old(self._clock())
        self._announcements.report_suppressed()

    def stop(self) -> None:
        """Set no more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = inf

    def _carry_out(self, output: Fact | CallChanged | PhoneTested | SecurityEvent) -> None:
        if isinstance(output, CallSaved):
            self._outbox.keep(output)
        elif isinstance(output, CallRecorded):
            self._outbox.keep(output)
            self._announcements.call_recorded(output.record)
        elif isinstance(output, BindingsChanged):
            self._outbox.keep(output)
            self._announcements.bindings_changed(output)
        else:
            self._announcements.announce(output)

    def _tell_of_failed_sends(self) -> None:
        failed = self._outbox.unable_to_send.copy()
        self._outbox.unable_to_send.clear()
        for data, to in failed:
            with self._errors_logged(to):
                self._engine.unable_to_send(data, to, self._clock())

    def _set_timer(self, due: float) -> None:
        """Set the one timer."""
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, due - self._clock()) + _TIMER_STEP_S
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(delay, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._timer_due = inf
        self.turn_ended()

    def _expire(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_due = inf
        self._not_before = now + _EXPIRY_INTERVAL_S
        errors = self.counts.engine_errors
        with self._errors_logged(None):
            self._engine.expire(now)
        if self.counts.engine_errors > errors:
            # Should the same timer be due again at once, the exchange must still get to do other things.
            self._not_before = now + _PAUSE_AFTER_ERROR_S

    @contextmanager
    def _errors_logged(self, peer: Flow | Destination | None) -> Iterator[None]:
        """An error of the engine's own costs a log line and what it was doing, nothing else."""
        try:
            yield
        except Exception:
            log.exception("engine_error", peer=source_of(peer) if isinstance(peer, Flow) else str(peer))
            self.counts.engine_errors += 1
