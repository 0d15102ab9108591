"""What the exchange tells people: watchers hear of calls and phones, the log of refusals and attacks."""

from collections.abc import Callable
from typing import Final

import structlog

from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.exchange_view import (
    call_document,
    phone_test_document,
    registration_document,
    security_document,
)
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.core.dialog.call_record import CallRecord, Outcome
from sip_proxy.core.flow import Flow
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    PhoneTested,
    SecurityEvent,
    SecurityEventKind,
)
from sip_proxy.counts import Counts
from sip_proxy.driven_engine import DrivenEngine

log: Final = structlog.get_logger()


class Announcements:
    """Makes documents and log lines of what happens, but only while somebody wants to see them."""

    def __init__(
        self,
        engine: DrivenEngine,
        *,
        events: EventHub,
        security_log: SecurityLog,
        counts: Counts,
        wall_clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._events = events
        self._security_log = security_log
        self._counts = counts
        self._wall_clock = wall_clock

    def call_recorded(self, record: CallRecord) -> None:
        """Count a call attempt that is over; one that the rules of the exchange did not allow is a line."""
        self._counts.records[record.outcome.value] += 1
        if record.ringing_at is not None:
            self._counts.ringing.observe(record.ringing_at - record.invited_at)
        if record.outcome is Outcome.REJECTED:
            log.info(
                "call_refused",
                call_id=record.call_id,
                caller=record.caller,
                callee=record.callee,
                status=record.status,
                reason=record.reason,
            )

    def bindings_changed(self, change: BindingsChanged) -> None:
        """The phones of a number are now these."""
        if self._events.has_watchers:
            marked = self._engine.with_test_results(change.registrations)
            documents = [registration_document(one) for one in marked]
            self._events.publish("registration", {"number": change.number, "registrations": documents})

    def announce(self, event: CallChanged | PhoneTested | SecurityEvent) -> None:
        """Tell of something that leaves no fact."""
        if isinstance(event, SecurityEvent):
            self._tell_security(event)
        elif self._events.has_watchers:
            if isinstance(event, CallChanged):
                self._events.publish("call", call_document(event.call))
            else:
                self._events.publish("phone_test", phone_test_document(event))

    def flooded(self, flow: Flow) -> None:
        """A source sends more than it may."""
        detail = "More messages than one source may send: the rest is not looked at"
        self._tell_security(SecurityEvent(SecurityEventKind.RATE_LIMITED, flow, "", detail))

    def report_suppressed(self) -> None:
        """Log how often happened what is not logged each time. Call it every few seconds."""
        self._security_log.report_suppressed()

    def _tell_security(self, event: SecurityEvent) -> None:
        self._counts.security_events[event.kind.value] += 1
        # What is not logged is not told either: a flood would cut off everyone who watches.
        if self._security_log.write(event) and self._events.has_watchers:
            self._events.publish("security", security_document(event, self._wall_clock()))
