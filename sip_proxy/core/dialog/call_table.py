"""All calls: which call does a request belong to, and what becomes known of each."""

from dataclasses import dataclass

from sip_proxy.core.dialog.call import Call, CallEvent, CallTimer
from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.dialog.owed_byes import OwedByes
from sip_proxy.core.dialog.party import Party, build_dialog_request
from sip_proxy.core.dialog.saved_call import load_call, save_call
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.grammar import printable, quote_string
from sip_proxy.core.message.message import HIGHEST_CSEQ, Request
from sip_proxy.core.outputs import CallChanged, CallRecorded, CallSaved, LiveCall, LiveCallState, Send
from sip_proxy.core.rejection import Cause
from sip_proxy.core.transaction.client import NOBODY

# A party may have used CSeq numbers that we haven't seen, or that were not saved before a restart; a request
# in its name must have a higher one (RFC 3261 §12.2.1.1).
_CSEQ_MARGIN = 1000


@dataclass(slots=True)
class DialogMatch:
    """A request within a dialog that we know: who sends it to whom."""

    call: Call
    sender: Party
    receiver: Party
    sent_by: EndedBy


class CallTable:
    """Keeps the calls, their dialogs, and hands out what must be saved, shown and recorded."""

    __slots__ = ("_by_call_id", "_exchange", "_hops", "_live", "_live_by_caller", "owed_byes")

    def __init__(self, exchange: Exchange, hops: Hops) -> None:
        self._exchange = exchange
        self._hops = hops
        self._live: dict[str, Call] = {}
        self._by_call_id: dict[str, list[Call]] = {}
        self._live_by_caller: dict[str, int] = {}
        self.owed_byes = OwedByes(self, exchange.timers)

    def begin(self, *, call_id: str, callee: str, emergency: bool, calling: Party, now: float) -> Call:
        """An INVITE passed authentication."""
        call = Call(
            record_id=self._exchange.identifiers.record_id(),
            call_id=call_id,
            callee=printable(callee, 64),
            emergency=emergency,
            calling=calling,
            invited_at=self._exchange.wall(now),
            keeper=self,
        )
        self._add(call)
        self._exchange.emit(CallChanged(call.live()))
        return call

    def rang(self, call: Call, now: float) -> None:
        """A phone rings."""
        if call.take(CallEvent.RANG):
            call.ringing_at = self._exchange.wall(now)
            self._exchange.emit(CallChanged(call.live()))

    def answered(self, call: Call, called: Party, now: float) -> None:
        """The call is answered by this party: keep it for a restart before the caller hears of it."""
        if not call.take(CallEvent.ANSWERED):
            return
        call.called = called
        call.early = None
        call.setup = None
        call.answered_at = self._exchange.wall(now)
        call.answered_on_clock = now
        timeout_s = self._exchange.layer.values.transaction_timeout_s
        call.timer = self._exchange.timers.start(timeout_s, call, CallTimer.NO_ACK, now)
        self._exchange.emit(CallChanged(call.live()))
        self.save(call)

    def save(self, call: Call) -> None:
        """Keep the call for a restart, if it is answered and not over."""
        if call.state is LiveCallState.ANSWERED:
            self._exchange.emit(CallSaved(call.record_id, save_call(call)))

    def acknowledged(self, call: Call, now: float) -> None:
        """The caller's ACK of the answer came by."""
        if call.state is LiveCallState.ANSWERED and call.acknowledged_at is None:
            call.acknowledged_at = self._exchange.wall(now)
            if call.timer is not None:
                call.timer.cancel()
                call.timer = None

    def failed(
        self, call: Call, now: float, *, outcome: Outcome, status: int, reason: str, ended_by: EndedBy
    ) -> None:
        """The caller got a final response other than 2xx."""
        if call.take(CallEvent.FAILED):
            call.setup = None
            self._end(call, now, outcome=outcome, status=status, reason=reason, ended_by=ended_by)
            self._forget(call)

    def hung_up(self, call: Call, now: float, *, ended_by: EndedBy) -> bool:
        """A BYE came, or the exchange ends the call; False when it was over already."""
        if not call.take(CallEvent.HUNG_UP):
            return False
        self._end(call, now, outcome=Outcome.ANSWERED, status=200, reason="OK", ended_by=ended_by)
        timeout_s = self._exchange.layer.values.transaction_timeout_s
        call.timer = self._exchange.timers.start(timeout_s, call, CallTimer.FORGET, now)
        return True

    def hang_up(self, call: Call, text: str, now: float) -> None:
        """End an answered call from the middle: BYE to both sides."""
        if self.hung_up(call, now, ended_by=EndedBy.EXCHANGE):
            assert call.called is not None
            reason = [f"Reason: Q.850;cause={Cause.NORMAL};text={quote_string(text)}"]
            self.send_bye(call.call_id, call.calling, call.called, now, headers=reason)
            self.send_bye(call.call_id, call.called, call.calling, now, headers=reason)

    def find_dialog(self, request: Request) -> DialogMatch | None:
        """Return the dialog of a request that has a To tag (RFC 3261 §12.2)."""
        for call in self._by_call_id.get(request.call_id, ()):
            calling = call.calling
            if calling.tag == request.from_tag:
                called = call.leg(request.to_tag)
                if called is not None:
                    return DialogMatch(call, calling, called, EndedBy.CALLER)
            elif calling.tag == request.to_tag:
                called = call.leg(request.from_tag)
                if called is not None:
                    return DialogMatch(call, called, calling, EndedBy.CALLEE)
        return None

    def send_bye(
        self, call_id: str, sender: Party, receiver: Party, now: float, *, headers: list[str]
    ) -> None:
        """Send a BYE to one side in the name of the other (§15.1.1)."""
        sender.cseq = min(sender.cseq + _CSEQ_MARGIN, HIGHEST_CSEQ)
        to = self._reach(receiver, now)
        branch = self._exchange.identifiers.branch("")
        request = build_dialog_request(
            "BYE",
            call_id=call_id,
            sender=sender,
            receiver=receiver,
            cseq=sender.cseq,
            via=self._hops.via(to, branch),
            headers=headers,
        )
        self._exchange.layer.start_client(request, branch=branch, to=to, owner=NOBODY, now=now)

    def send_ack(self, call_id: str, sender: Party, receiver: Party, cseq: int, now: float) -> None:
        """Acknowledge a 2xx in the name of the caller (§13.2.2.4)."""
        to = self._reach(receiver, now)
        branch = self._exchange.identifiers.branch("")
        via = self._hops.via(to, branch)
        request = build_dialog_request(
            "ACK", call_id=call_id, sender=sender, receiver=receiver, cseq=cseq, via=via, headers=[]
        )
        self._exchange.emit(Send(to, request.encode()))

    def restore(self, state: str, now: float, *, same_boot: bool) -> None:
        """Take up a saved call; one that is there already stays as it is."""
        call = load_call(state, self, now=now, wall=self._exchange.wall(now), same_boot=same_boot)
        if call.record_id not in self._live:
            self._add(call)

    def find_live(self, record_id: str) -> Call | None:
        """Return a call that isn't over by its `LiveCall.id`."""
        return self._live.get(record_id)

    def live_calls(self) -> list[LiveCall]:
        """List the calls that aren't over."""
        return [call.live() for call in self._live.values()]

    def live_count(self) -> int:
        """Count the calls that aren't over."""
        return len(self._live)

    def live_count_of(self, caller: str) -> int:
        """Count the calls that this number made and that aren't over."""
        return self._live_by_caller.get(caller, 0)

    def call_timer_fired(self, call: Call, event: CallTimer, now: float) -> None:
        """A timer of a call fired."""
        call.timer = None
        if event is CallTimer.FORGET:
            self._forget(call)
        else:
            # Both phones have given up or are gone (§13.3.1.4); they are told, and the call is over.
            self.hang_up(call, "The answer was never acknowledged", now)

    def _reach(self, receiver: Party, now: float) -> Flow | Destination:
        return self._hops.reach_party(receiver, now) or receiver.flow

    def _add(self, call: Call) -> None:
        self._live[call.record_id] = call
        self._by_call_id.setdefault(call.call_id, []).append(call)
        self._live_by_caller[call.caller] = self.live_count_of(call.caller) + 1

    def _end(
        self, call: Call, now: float, *, outcome: Outcome, status: int, reason: str, ended_by: EndedBy
    ) -> None:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        del self._live[call.record_id]
        remaining = self.live_count_of(call.caller) - 1
        if remaining:
            self._live_by_caller[call.caller] = remaining
        else:
            del self._live_by_caller[call.caller]
        record = call.record(
            now=now,
            wall=self._exchange.wall(now),
            outcome=outcome,
            status=status,
            reason=printable(reason),
            ended_by=ended_by,
        )
        self._exchange.emit(CallRecorded(record))
        self._exchange.emit(CallChanged(call.live()))

    def _forget(self, call: Call) -> None:
        calls = self._by_call_id.get(call.call_id, [])
        if call in calls:
            calls.remove(call)
            if not calls:
                del self._by_call_id[call.call_id]
