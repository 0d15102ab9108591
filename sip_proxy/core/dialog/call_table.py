"""All calls: which call does a request belong to, and what becomes known of each."""

from typing import Final

from sip_proxy.core.dialog.call import Call, CallEvent, CallTimer
from sip_proxy.core.dialog.call_counts import CallCounts
from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.dialog.life_check import LifeCheck
from sip_proxy.core.dialog.owed_byes import OwedByes
from sip_proxy.core.dialog.own_requests import OwnRequests
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.dialog.saved_call import load_call, save_call
from sip_proxy.core.dialog.transfers import Transfers, is_replaced, replaced_dialog
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.building import reason_value
from sip_proxy.core.message.grammar import printable
from sip_proxy.core.message.message import Message
from sip_proxy.core.outputs import CallChanged, CallRecorded, CallSaved, LiveCall, LiveCallState
from sip_proxy.core.rejection import Cause

# What comes up in every call (see `transaction/client.py`).
_ANSWERED: Final = LiveCallState.ANSWERED
_CALL: Final = Outcome.ANSWERED
_RANG: Final = CallEvent.RANG
_WAS_ANSWERED: Final = CallEvent.ANSWERED
_HUNG_UP: Final = CallEvent.HUNG_UP
_NO_ACK: Final = CallTimer.NO_ACK
_FORGET: Final = CallTimer.FORGET
_BY_CALLER: Final = EndedBy.CALLER
_BY_CALLEE: Final = EndedBy.CALLEE


class DialogMatch:
    """A request within a dialog that we know: who sends it to whom."""

    __slots__ = ("call", "receiver", "sender", "sent_by")

    def __init__(self, call: Call, sender: Party, receiver: Party, sent_by: EndedBy) -> None:
        self.call = call
        self.sender = sender
        self.receiver = receiver
        self.sent_by = sent_by


class CallTable:
    """Keeps the calls, their dialogs, and hands out what must be saved, shown and recorded."""

    __slots__ = ("_by_call_id", "_exchange", "_life", "_live", "counts", "owed_byes", "requests", "transfers")

    def __init__(self, exchange: Exchange, hops: Hops) -> None:
        self._exchange = exchange
        self._live: dict[str, Call] = {}
        self._by_call_id: dict[str, list[Call]] = {}
        self.counts = CallCounts()
        self.transfers = Transfers()
        self.requests = OwnRequests(exchange, hops)
        self._life = LifeCheck(exchange, self.requests, self)
        self.owed_byes = OwedByes(self.requests, exchange.timers)

    def begin(self, *, call_id: str, callee: str, emergency: bool, calling: Party, now: float) -> Call:
        """An INVITE passed authentication."""
        record_id = self._exchange.identifiers.record_id()
        invited_at = self._exchange.wall(now)
        call = Call(record_id, call_id, calling, printable(callee, 64), emergency, invited_at, self)
        self._add(call)
        self._tell(call)
        return call

    def rang(self, call: Call, now: float) -> None:
        """A phone rings."""
        if call.take(_RANG):
            # The instants of a call stay in order when the clock is set back, or nobody could bill it.
            call.ringing_at = max(self._exchange.wall(now), call.invited_at)
            self._tell(call)

    def answered(self, call: Call, called: Party, now: float) -> None:
        """The call is answered by this party: keep it for a restart before the caller hears of it."""
        if not call.take(_WAS_ANSWERED):
            return
        call.called = called
        call.early = None
        call.setup = None
        call.answered_at = max(self._exchange.wall(now), call.ringing_at or call.invited_at)
        call.answered_on_clock = call.calling.seen_at = called.seen_at = now
        timeout_s = self._exchange.layer.values.transaction_timeout_s
        call.timer = self._exchange.timers.start(timeout_s, call, _NO_ACK, now)
        self._tell(call)
        self.save(call, now)

    def save(self, call: Call, now: float) -> None:
        """Keep the call for a restart, if it is answered and not over."""
        if call.state is _ANSWERED:
            call.saved_on_clock = now
            self._exchange.emit(CallSaved(call.record_id, save_call(call)))

    def acknowledged(self, call: Call, now: float) -> None:
        """The caller's ACK of the answer came by."""
        if call.state is _ANSWERED and call.acknowledged_at is None:
            # Who answered has been waiting for this, so it counts for both.
            assert call.called is not None
            assert call.answered_at is not None
            call.acknowledged_at = max(self._exchange.wall(now), call.answered_at)
            call.calling.seen_at = call.called.seen_at = now
            if call.timer is not None:
                call.timer.cancel()
            self._life.begin(call, now)

    def failed(
        self, call: Call, now: float, *, outcome: Outcome, status: int, reason: str, ended_by: EndedBy
    ) -> None:
        """The caller got a final response other than 2xx."""
        if call.take(CallEvent.FAILED):
            call.setup = call.early = None
            self._end(call, now, outcome=outcome, status=status, reason=printable(reason), ended_by=ended_by)
            self._forget(call)

    def hung_up(
        self, call: Call, now: float, *, ended_by: EndedBy, ended_on_clock: float | None = None
    ) -> bool:
        """A BYE came, or the exchange ends the call; False when it was over already.

        `ended_on_clock` is when it ended, on the monotonic clock, if not now.
        """
        if not call.take(_HUNG_UP):
            return False
        ended = now if ended_on_clock is None else ended_on_clock
        if call.acknowledged_at is None and self._waits_for_journal(call):
            call.answered_at = None  # its caller never heard of the answer, and owes nothing
            reason = "The answer could not be written down"
            self._end(call, ended, outcome=Outcome.FAILED, status=503, reason=reason, ended_by=ended_by)
        else:
            self._end(call, ended, outcome=_CALL, status=200, reason="OK", ended_by=ended_by)
        timeout_s = self._exchange.layer.values.transaction_timeout_s
        call.timer = self._exchange.timers.start(timeout_s, call, _FORGET, now)
        return True

    def hang_up(
        self,
        call: Call,
        text: str,
        now: float,
        *,
        cause: Cause = Cause.NORMAL,
        ended_on_clock: float | None = None,
    ) -> None:
        """End an answered call from the middle: BYE to both sides."""
        if self.hung_up(call, now, ended_by=EndedBy.EXCHANGE, ended_on_clock=ended_on_clock):
            assert call.called is not None
            reason = [f"Reason: {reason_value('Q.850', cause, text)}"]
            self.requests.send_bye(call.call_id, call.calling, call.called, now, headers=reason)
            self.requests.send_bye(call.call_id, call.called, call.calling, now, headers=reason)

    def end(self, call: Call, text: str, now: float) -> None:
        """End a call from the middle, whatever its state: CANCEL while it rings, BYE after the answer."""
        if call.state is _ANSWERED:
            self.hang_up(call, text, now)
        elif call.setup is not None:
            call.setup.give_up(text, now)

    def end_all(self, text: str, now: float) -> int:
        """End every call but those to emergency numbers; return how many."""
        calls = [call for call in self._live.values() if not call.emergency]
        for call in calls:
            self.end(call, text, now)
        return len(calls)

    def save_all(self, now: float) -> None:
        """Keep what is known of every answered call by now: the exchange is going to stop."""
        for call in self._live.values():
            self.save(call, now)

    def end_ghost(self, call: Call, text: str, now: float) -> None:
        """End a call that nobody is at the other end of any more, as of its last proof of life."""
        proof = call.last_proof_of_life()
        self.hang_up(call, text, now, cause=Cause.RECOVERY_ON_TIMER_EXPIRY, ended_on_clock=proof)

    def find_dialog(self, message: Message) -> DialogMatch | None:
        """Return the dialog of a request that has a To tag (RFC 3261 §12.2), or of a response to one."""
        for call in self._by_call_id.get(message.call_id, ()):
            calling = call.calling
            if calling.tag == message.from_tag:
                called = call.leg(message.to_tag)
                if called is not None:
                    return DialogMatch(call, calling, called, _BY_CALLER)
            elif calling.tag == message.to_tag:
                called = call.leg(message.from_tag)
                if called is not None:
                    return DialogMatch(call, called, calling, _BY_CALLEE)
        return None

    def knows_call_id(self, call_id: str) -> bool:
        """Tell whether any call, or one that is over since a moment, has this Call-ID."""
        return call_id in self._by_call_id

    def restore(self, state: str, now: float, *, same_boot: bool) -> None:
        """Take up a saved call; one that is there already stays as it is."""
        call = load_call(state, self, now=now, wall=self._exchange.wall(now), same_boot=same_boot)
        if call.record_id not in self._live:
            self._add(call)
            self._life.begin_restored(call, now)

    def find_live(self, record_id: str) -> Call | None:
        """Return a call that isn't over by its `LiveCall.id`."""
        return self._live.get(record_id)

    def live_calls(self) -> list[LiveCall]:
        """List the calls that aren't over."""
        return [call.live() for call in self._live.values()]

    def calls_to_limit(self, caller: str, callee: str, invite: Message, now: float) -> tuple[int, int]:
        """Count the calls of both numbers for their limits, without those that this INVITE is to replace."""
        of_caller = self.counts.of(caller) - self.transfers.calls_on_the_way_out(caller, now)
        of_callee = self.counts.of(callee)
        if "replaces" in invite.shape.at:
            call_id, to_tag, from_tag = replaced_dialog(invite.first("replaces") or "")
            of_callee -= any(
                call.state is _ANSWERED and is_replaced(call, callee, to_tag, from_tag)
                for call in self._by_call_id.get(call_id, ())
            )
        return of_caller, of_callee

    def replaced_party(self, invite: Message) -> Party | None:
        """Return the side of a call whose phone is to put this INVITE in its place (RFC 3891 §3)."""
        if "replaces" not in invite.shape.at:
            return None
        call_id, to_tag, from_tag = replaced_dialog(invite.first("replaces") or "")
        for call in self._by_call_id.get(call_id, ()):
            if call.called is not None and call.state is _ANSWERED:
                for party, other in ((call.calling, call.called), (call.called, call.calling)):
                    if (party.tag, other.tag) == (to_tag, from_tag):
                        return party
        return None

    def call_timer_fired(self, call: Call, event: CallTimer, now: float) -> None:
        """A timer of a call fired."""
        call.timer = None
        if event is CallTimer.FORGET:
            self._forget(call)
        elif event is CallTimer.LIFE_CHECK:
            self._life.check(call, now)
        elif event is CallTimer.SESSION_OVER:
            self._life.end_session(call, now)
        elif event is CallTimer.CALLER_GONE:
            self._life.end_without_caller(call, now)
        else:
            # Both phones have given up or are gone (§13.3.1.4); they are told, and the call is over.
            self.hang_up(call, "The answer was never acknowledged", now)

    def _waits_for_journal(self, call: Call) -> bool:
        """Tell whether the answer of an unacknowledged call is still held back (`Send.after_journal`).

        One that was restored is in the journal, which need not know of its ACK.
        """
        return not (self._exchange.journal_available or call.emergency or call.restored_on_clock)

    def _tell(self, call: Call) -> None:
        if self._exchange.is_watched:
            self._exchange.emit(CallChanged(call.live()))

    def _add(self, call: Call) -> None:
        self._live[call.record_id] = call
        self._by_call_id.setdefault(call.call_id, []).append(call)
        self.counts.add(call)

    def _end(
        self, call: Call, ended: float, *, outcome: Outcome, status: int, reason: str, ended_by: EndedBy
    ) -> None:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        del self._live[call.record_id]
        self.counts.remove(call)
        record = call.record(
            now=ended,
            wall=self._exchange.wall(ended),
            outcome=outcome,
            status=status,
            reason=reason,
            ended_by=ended_by,
        )
        self._exchange.emit(CallRecorded(record))
        self._tell(call)

    def _forget(self, call: Call) -> None:
        calls = self._by_call_id.get(call.call_id, [])
        if call in calls:
            calls.remove(call)
            if not calls:
                del self._by_call_id[call.call_id]
