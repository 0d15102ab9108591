"""The desk phone as a state machine: hook, keys and engine events in; engine commands and a display out.

It has no clock and no thread: every input comes with the instant `now` (monotonic seconds), `next_deadline`
says when `handle_timer` wants to be called, and `take_commands` hands out what the engine is to do.

    ON_HOOK ──lift──▶ DIAL_TONE ──key──▶ DIALLING ──pause or #──▶ CALLING ──180──▶ RINGING_OUT ──200──▶
    TALKING │                                                             └─────refused─────┴──▶ BUSY, FAILED
    │ └──INVITE──▶ RINGING_IN ──lift──▶ ANSWERING ──ACK──▶ TALKING ──far end hangs up──▶ ENDED ◀────────────┘

From everywhere, replacing the handset leads to ON_HOOK.
"""

from __future__ import annotations

from typing import Final

from softphone.engine import commands, events
from softphone.engine.events import CallState
from softphone.engine.sound import Side, Tone, dtmf_tone
from softphone.phone.refusals import is_busy, refusal_text
from softphone.phone.states import HANDSET_DOWN, RELEASED, WITH_CALL, PhoneState, Service, Timings
from softphone.phone.tones import BUSY_TONE, CONGESTION_TONE, DIAL_TONE, RING_BACK_TONE

KEYS: Final = "123456789*0#"


class DeskPhone:
    """One phone with one line."""

    def __init__(self, number: str, *, timings: Timings | None = None) -> None:
        self.number = number
        self.state = PhoneState.ON_HOOK
        self.service = Service.STARTING
        self.dialled = ""
        self.peer_number = ""  # whom the call is with, or was
        self.peer_name = ""
        self.missed_calls = 0
        self._timings = timings or Timings()
        self.explanation = ""
        self.service_explanation = ""
        self._call: str | None = None
        self._successor: str | None = None  # the call that this one is being transferred to
        self._placed = 0
        self._talking_since: float | None = None
        self._talked_s: int | None = None
        self._deadline: float | None = None
        self._commands: list[commands.Command] = []

    @property
    def is_off_hook(self) -> bool:
        return self.state not in HANDSET_DOWN

    def call_seconds(self, now: float) -> int | None:
        """How long the call has lasted, or did last; None outside a call."""
        return int(now - self._talking_since) if self._talking_since is not None else self._talked_s

    def take_commands(self) -> list[commands.Command]:
        """What the engine is to do, in order; empty the next time."""
        taken, self._commands = self._commands, []
        return taken

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called; None while the phone waits for nothing."""
        return self._deadline

    def handle_timer(self, now: float) -> None:
        """A call before the deadline, or without one, does nothing."""
        if self._deadline is None or now < self._deadline:
            return
        self._deadline = None
        if self.state is PhoneState.DIALLING:
            self._place_call()
        elif self.state is PhoneState.DIAL_TONE:
            self._fail("No number was dialled", now)
        elif self.state in RELEASED:
            self._go_on_hook()

    # -- what the user does --

    def lift_handset(self, now: float) -> None:
        """Answer the call that rings, or call the number that was keyed in, or get dial tone."""
        if self.state is PhoneState.RINGING_IN:
            self._command(commands.Answer(call=self._current_call()))
            self.state = PhoneState.ANSWERING
        elif self.state is PhoneState.ON_HOOK:
            self.missed_calls = 0
            if self.service is Service.ENGINE_LOST:
                self._fail("Out of service", now)
            elif self.dialled:
                self._place_call()
            else:
                self._give_dial_tone(now)

    def replace_handset(self) -> None:
        """End whatever is going on. A phone that rings goes on ringing: its handset is down already."""
        if self.state is PhoneState.RINGING_IN:
            return
        if self.state in WITH_CALL:
            self._command(commands.HangUp(call=self._current_call()))
            if self._successor is not None:
                self._command(commands.HangUp(call=self._successor))
                self._successor = None
        self._go_on_hook()

    def press_green_key(self, now: float) -> None:
        """Lift the handset, or send the number off without waiting."""
        if self.state is PhoneState.DIALLING:
            self._place_call()
            return
        if self.state in RELEASED:
            self._go_on_hook()
        self.lift_handset(now)

    def press_red_key(self) -> None:
        """Refuse the call that rings (the caller hears busy), or hang up, or clear the keyed-in number."""
        if self.state is PhoneState.RINGING_IN:
            self._command(commands.Reject(call=self._current_call(), status=486))
            self._go_on_hook()
        else:
            self.replace_handset()

    def press_key(self, key: str, now: float) -> None:
        """A key of the keypad: dials, or during a call goes to the far end.

        Raises ValueError for any other key.
        """
        if len(key) != 1 or key not in KEYS:
            raise ValueError(f"{key!r} is not a key of this phone")
        if self.state is PhoneState.TALKING:
            self._command(commands.SendDtmf(call=self._current_call(), digits=key))
            self.dialled += key
        elif self.state is PhoneState.ON_HOOK:
            self.dialled += key
        elif self.state in (PhoneState.DIAL_TONE, PhoneState.DIALLING):
            self._dial_key(key, now)

    def press_erase(self, now: float) -> None:
        """Take back the last key of a number that was not sent off; of the only one: dial tone again."""
        if self.state is PhoneState.ON_HOOK:
            self.dialled = self.dialled[:-1]
        elif self.state is PhoneState.DIALLING:
            self.dialled = self.dialled[:-1]
            if self.dialled:
                self._deadline = now + self._timings.inter_digit_s
            else:
                self._give_dial_tone(now)

    def _dial_key(self, key: str, now: float) -> None:
        # "#" ends a number, but service codes that begin with "*" contain it: *21#.
        if key == "#" and self.dialled and not self.dialled.startswith("*"):
            self._place_call()
            return
        self._play(dtmf_tone(key))
        self.state = PhoneState.DIALLING
        self.dialled += key
        self._deadline = now + self._timings.inter_digit_s

    # -- what the engine tells --

    def handle_event(self, event: events.Event, now: float) -> None:
        match event:
            case events.Started():
                self.service = Service.STARTING
            case events.Registered():
                self.service, self.service_explanation = Service.REGISTERED, ""
            case events.RegistrationFailed(status=status, reason=reason):
                self.service, self.service_explanation = Service.REFUSED, refusal_text(status, reason)
            case events.Unregistered():
                self.service, self.service_explanation = Service.REFUSED, "Not registered"
            case events.IncomingCall():
                self._ring(event)
            case events.CallMoved(call=call, to=to) if call == self._call:
                self._successor = to
            case events.CallStateChanged(call=call) if call == self._successor:
                self._follow_successor(event, now)
            case events.CallStateChanged(call=call) if call == self._call:
                self._follow_call(event, now)
            case events.MediaStarted(call=call) if call == self._call:
                # The far end sends a ring-back of its own, or an announcement.
                if self.state in (PhoneState.CALLING, PhoneState.RINGING_OUT):
                    self._silence()
            case events.CommandFailed(command="PlaceCall", reason=reason) if self.state is PhoneState.CALLING:
                self._fail(reason, now)
            case events.EngineFailed() | events.Stopped():
                self._lose_engine(now)

    def _ring(self, event: events.IncomingCall) -> None:
        if self.state is not PhoneState.ON_HOOK:
            self._command(commands.Reject(call=event.call, status=486))
            return
        self.state = PhoneState.RINGING_IN
        self._call = event.call
        self.dialled = ""
        self.peer_number, self.peer_name = event.number or event.uri, event.display_name

    def _follow_call(self, event: events.CallStateChanged, now: float) -> None:
        if event.state is CallState.RINGING and self.state is PhoneState.CALLING:
            self.state = PhoneState.RINGING_OUT
            self._play(RING_BACK_TONE)
        elif event.state is CallState.CONNECTED:
            self.state = PhoneState.TALKING
            self.dialled = ""
            self._talking_since = now
            self._silence()
        elif event.state is CallState.ENDED and self._successor is not None:
            self._call, self._successor = self._successor, None
        elif event.state is CallState.ENDED:
            self._end_call(event, now)

    def _follow_successor(self, event: events.CallStateChanged, now: float) -> None:
        """The far end transferred us: its call goes on until the new one is answered, or instead of it."""
        if event.state is CallState.CONNECTED:
            self._call, self._successor = self._successor, None
            self._follow_call(event, now)
        elif event.state is CallState.ENDED:
            self._successor = None

    def _end_call(self, event: events.CallStateChanged, now: float) -> None:
        self._call = None
        if self.state is PhoneState.RINGING_IN:
            self.missed_calls += 1
            self._go_on_hook()
        elif self.state is PhoneState.TALKING and self._talking_since is not None:
            self._talked_s = int(now - self._talking_since)
            self._release_later(PhoneState.ENDED, "Call ended", BUSY_TONE, now)
        elif is_busy(event.status):
            self._release_later(PhoneState.BUSY, refusal_text(event.status, event.reason), BUSY_TONE, now)
        else:
            self._fail(refusal_text(event.status, event.reason, event.detail), now)

    def _lose_engine(self, now: float) -> None:
        self.service, self.service_explanation = Service.ENGINE_LOST, ""
        self._call = self._successor = None
        if self.state is PhoneState.RINGING_IN:
            self._go_on_hook()
        elif self.state is not PhoneState.ON_HOOK:
            self._fail("Call lost", now)
        # There is nobody left to carry these out; a new engine must not inherit them.
        self._commands.clear()

    # -- helpers --

    def _give_dial_tone(self, now: float) -> None:
        self.state = PhoneState.DIAL_TONE
        self._play(DIAL_TONE)
        self._deadline = now + self._timings.first_digit_s

    def _place_call(self) -> None:
        self._placed += 1
        self._call = f"out-{self._placed}"
        self.peer_number, self.dialled = self.dialled, ""
        self.state = PhoneState.CALLING
        self._deadline = None
        self._silence()
        self._command(commands.PlaceCall(call=self._call, target=self.peer_number))

    def _fail(self, explanation: str, now: float) -> None:
        self._call = None
        self._release_later(PhoneState.FAILED, explanation, CONGESTION_TONE, now)

    def _release_later(self, state: PhoneState, explanation: str, tone: Tone, now: float) -> None:
        self.state = state
        self.explanation = explanation
        self._talking_since = None
        self._play(tone)
        self._deadline = now + self._timings.release_s

    def _go_on_hook(self) -> None:
        if self.is_off_hook:
            self._silence()
        self.state = PhoneState.ON_HOOK
        self.dialled = self.peer_number = self.peer_name = self.explanation = ""
        self._call = self._talking_since = self._talked_s = self._deadline = None

    def _play(self, tone: Tone) -> None:
        self._command(commands.PlayTone(tone=tone, side=Side.EAR))

    def _silence(self) -> None:
        self._command(commands.StopPlaying(side=Side.EAR))

    def _command(self, command: commands.Command) -> None:
        self._commands.append(command)

    def _current_call(self) -> str:
        assert self._call is not None, f"no call in state {self.state}"
        return self._call
