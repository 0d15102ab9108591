"""The desk phone: hook, keys and engine events in; commands and a display out. Every instant is made up."""

from __future__ import annotations

import pytest

from softphone.engine import commands, events
from softphone.engine.commands import Answer, HangUp, PlaceCall, PlayTone, Reject, SendDtmf, StopPlaying
from softphone.engine.events import CallState, CallStateChanged
from softphone.engine.sound import Side, Tone, dtmf_tone
from softphone.phone.desk_phone import KEYS, DeskPhone
from softphone.phone.display import Display, Lamp
from softphone.phone.face import display_of
from softphone.phone.states import PhoneState, Service, Timings
from softphone.phone.tones import BUSY_TONE, CONGESTION_TONE, DIAL_TONE, RING_BACK_TONE

TIMINGS = Timings(inter_digit_s=4, first_digit_s=20, release_s=10)
SILENCE = StopPlaying(side=Side.EAR)


class Desk:
    """A phone, an instant, and short words for what happens to it."""

    def __init__(self) -> None:
        self.phone = DeskPhone("0001", timings=TIMINGS)
        self.now = 1000.0
        self.tell(events.Registered(number="0001", expires_s=120))

    @property
    def state(self) -> PhoneState:
        return self.phone.state

    @property
    def display(self) -> Display:
        return display_of(self.phone, self.now)

    def lift(self) -> list[commands.Command]:
        self.phone.lift_handset(self.now)
        return self.phone.take_commands()

    def replace(self) -> list[commands.Command]:
        self.phone.replace_handset()
        return self.phone.take_commands()

    def green(self) -> list[commands.Command]:
        self.phone.press_green_key(self.now)
        return self.phone.take_commands()

    def red(self) -> list[commands.Command]:
        self.phone.press_red_key()
        return self.phone.take_commands()

    def press(self, keys: str) -> list[commands.Command]:
        for key in keys:
            self.phone.press_key(key, self.now)
        return self.phone.take_commands()

    def erase(self) -> None:
        self.phone.press_erase(self.now)

    def pass_time(self, seconds: float) -> list[commands.Command]:
        self.now += seconds
        self.phone.handle_timer(self.now)
        return self.phone.take_commands()

    def tell(self, event: events.Event) -> list[commands.Command]:
        self.phone.handle_event(event, self.now)
        return self.phone.take_commands()

    def move(
        self, call: str, state: CallState, status: int = 0, reason: str = "", detail: str = ""
    ) -> list[commands.Command]:
        return self.tell(
            CallStateChanged(call=call, state=state, status=status, reason=reason, detail=detail)
        )

    def ring(self, call: str = "in-1") -> list[commands.Command]:
        return self.tell(
            events.IncomingCall(
                call=call, number="0002", display_name="Bob Baker", uri="sip:0002@tollbell.local"
            )
        )

    def call(self, number: str = "0002") -> None:
        self.lift()
        self.press(number)
        self.green()

    def talk(self) -> None:
        self.call()
        self.move("out-1", CallState.RINGING, 180, "Ringing")
        self.move("out-1", CallState.CONNECTED, 200, "OK")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def ear(tone: Tone) -> PlayTone:
    return PlayTone(tone=tone, side=Side.EAR)


class TestDialling:
    def test_lifting_the_handset_gives_dial_tone(self, desk: Desk) -> None:
        assert desk.lift() == [ear(DIAL_TONE)]
        assert desk.state is PhoneState.DIAL_TONE
        assert desk.phone.is_off_hook

    def test_the_first_key_takes_the_place_of_the_dial_tone(self, desk: Desk) -> None:
        desk.lift()

        assert desk.press("5") == [ear(dtmf_tone("5"))]
        assert desk.state is PhoneState.DIALLING
        assert desk.display.main == "5"

    def test_a_pause_ends_the_number(self, desk: Desk) -> None:
        desk.lift()
        desk.press("00")
        assert desk.pass_time(3.9) == []
        desk.press("02")
        assert desk.pass_time(3.9) == []

        assert desk.pass_time(0.1) == [SILENCE, PlaceCall(call="out-1", target="0002")]
        assert desk.state is PhoneState.CALLING

    @pytest.mark.parametrize("send", ["#", "green"])
    def test_a_number_can_be_sent_off_without_the_pause(self, desk: Desk, send: str) -> None:
        desk.lift()
        desk.press("0002")

        sent = desk.green() if send == "green" else desk.press("#")

        assert sent == [SILENCE, PlaceCall(call="out-1", target="0002")]
        assert desk.pass_time(60) == []

    def test_a_service_code_contains_the_hash_sign(self, desk: Desk) -> None:
        desk.lift()
        desk.press("*21#")

        assert desk.pass_time(4) == [SILENCE, PlaceCall(call="out-1", target="*21#")]

    def test_a_number_keyed_in_on_hook_is_called_when_the_handset_is_lifted(self, desk: Desk) -> None:
        assert desk.press("0002") == []
        assert desk.display.main == "0002"
        assert desk.pass_time(3600) == []

        assert desk.lift() == [SILENCE, PlaceCall(call="out-1", target="0002")]

    def test_erasing_takes_back_the_last_key_and_starts_the_pause_anew(self, desk: Desk) -> None:
        desk.lift()
        desk.press("07")
        desk.pass_time(3)
        desk.erase()
        assert desk.display.main == "0"
        assert desk.pass_time(3) == []
        desk.press("002")

        assert desk.pass_time(4)[-1] == PlaceCall(call="out-1", target="0002")

    def test_erasing_everything_gives_dial_tone_again_and_calls_nobody(self, desk: Desk) -> None:
        desk.lift()
        desk.press("7")

        desk.erase()

        assert desk.phone.take_commands() == [ear(DIAL_TONE)]
        desk.erase()
        assert desk.green() == []
        assert desk.pass_time(4) == []
        assert desk.state is PhoneState.DIAL_TONE

    def test_the_dial_tone_ends_when_nothing_is_dialled(self, desk: Desk) -> None:
        desk.lift()

        assert desk.pass_time(20) == [ear(CONGESTION_TONE)]
        assert desk.display.detail == "No number was dialled"

    def test_replacing_the_handset_forgets_the_number(self, desk: Desk) -> None:
        desk.lift()
        desk.press("00")

        assert desk.replace() == [SILENCE]
        assert desk.pass_time(100) == []
        assert desk.display.main == "0001"

    def test_the_red_key_clears_a_number_keyed_in_on_hook(self, desk: Desk) -> None:
        desk.press("00")

        assert desk.red() == []
        assert desk.display.main == "0001"

    @pytest.mark.parametrize("key", ["", "a", "10", "+", "½"])
    def test_there_are_no_other_keys(self, desk: Desk, key: str) -> None:
        with pytest.raises(ValueError, match="not a key"):
            desk.phone.press_key(key, desk.now)


class TestCalling:
    def test_ring_back_sounds_while_the_other_phone_rings(self, desk: Desk) -> None:
        desk.call()

        assert desk.move("out-1", CallState.CALLING) == []
        assert desk.move("out-1", CallState.RINGING, 180, "Ringing") == [ear(RING_BACK_TONE)]
        assert desk.state is PhoneState.RINGING_OUT
        assert desk.move("out-1", CallState.CONNECTING, 200, "OK") == []
        assert desk.move("out-1", CallState.CONNECTED, 200, "OK") == [SILENCE]
        assert desk.state is PhoneState.TALKING

    def test_an_announcement_of_the_far_end_takes_the_place_of_the_ring_back(self, desk: Desk) -> None:
        desk.call()
        desk.move("out-1", CallState.RINGING, 183, "Session Progress")

        assert desk.tell(events.MediaStarted(call="out-1", codec="PCMU", clock_rate_hz=8000)) == [SILENCE]

    def test_the_sound_of_a_call_that_is_answered_changes_nothing(self, desk: Desk) -> None:
        desk.talk()

        assert desk.tell(events.MediaStarted(call="out-1", codec="G722", clock_rate_hz=16000)) == []

    @pytest.mark.parametrize("status", [486, 600])
    def test_busy_is_heard_and_seen(self, desk: Desk, status: int) -> None:
        desk.call()

        assert desk.move("out-1", CallState.ENDED, status, "Busy Here") == [ear(BUSY_TONE)]
        assert desk.state is PhoneState.BUSY
        assert desk.display.detail == "Busy"
        assert desk.display.main == "0002"

    @pytest.mark.parametrize(
        ("status", "reason", "detail", "shown"),
        [
            (404, "Not Found", "", "No such number"),
            (404, "Not Found", "There is no number 0002", "There is no number 0002"),
            (603, "Decline", "", "Declined"),
            (503, "Service Unavailable", "The exchange is full", "The exchange is full"),
            (499, "Strange", "", "Strange"),
            (499, "", "", "Failed (499)"),
        ],
    )
    def test_a_refusal_is_explained(
        self, desk: Desk, status: int, reason: str, detail: str, shown: str
    ) -> None:
        desk.call()

        assert desk.move("out-1", CallState.ENDED, status, reason, detail) == [ear(CONGESTION_TONE)]
        assert desk.state is PhoneState.FAILED
        assert desk.display.detail == shown

    def test_a_call_that_the_engine_cannot_place_fails(self, desk: Desk) -> None:
        desk.call()

        assert desk.tell(events.CommandFailed(command="PlaceCall", reason="no route")) == [
            ear(CONGESTION_TONE)
        ]
        assert desk.display.detail == "no route"

    def test_giving_up_cancels(self, desk: Desk) -> None:
        desk.call()
        desk.move("out-1", CallState.RINGING, 180)

        assert desk.replace() == [HangUp(call="out-1"), SILENCE]
        assert desk.state is PhoneState.ON_HOOK

    def test_the_late_end_of_a_call_that_was_given_up_touches_nothing(self, desk: Desk) -> None:
        desk.call("0002")
        desk.replace()
        desk.call("0003")

        assert desk.move("out-1", CallState.ENDED, 487, "Request Terminated") == []
        assert desk.state is PhoneState.CALLING
        assert desk.display.main == "0003"

    @pytest.mark.parametrize("status", [486, 404])
    def test_a_failed_call_is_released_after_a_while(self, desk: Desk, status: int) -> None:
        desk.call()
        desk.move("out-1", CallState.ENDED, status)
        assert desk.pass_time(9.9) == []

        assert desk.pass_time(0.1) == [SILENCE]
        assert desk.state is PhoneState.ON_HOOK

    def test_after_a_failed_call_the_green_key_gives_dial_tone_again(self, desk: Desk) -> None:
        desk.call()
        desk.move("out-1", CallState.ENDED, 486)

        assert desk.green() == [SILENCE, ear(DIAL_TONE)]

    def test_keys_do_nothing_while_it_rings_at_the_other_end(self, desk: Desk) -> None:
        desk.call()
        desk.move("out-1", CallState.RINGING, 180)

        assert desk.press(KEYS) == []


class TestBeingCalled:
    def test_a_call_rings_with_name_and_number(self, desk: Desk) -> None:
        assert desk.ring() == []
        assert desk.state is PhoneState.RINGING_IN
        assert (desk.display.main, desk.display.name) == ("0002", "Bob Baker")
        assert desk.display.lamp is Lamp.RINGING
        assert not desk.phone.is_off_hook

    @pytest.mark.parametrize("by", ["handset", "green key"])
    def test_lifting_the_handset_answers(self, desk: Desk, by: str) -> None:
        desk.ring()

        assert (desk.lift() if by == "handset" else desk.green()) == [Answer(call="in-1")]
        assert desk.state is PhoneState.ANSWERING
        desk.move("in-1", CallState.CONNECTED, 200)
        assert desk.state is PhoneState.TALKING

    def test_answering_twice_answers_once(self, desk: Desk) -> None:
        desk.ring()
        desk.lift()

        assert desk.lift() == []

    def test_the_red_key_refuses_as_busy(self, desk: Desk) -> None:
        desk.ring()

        assert desk.red() == [Reject(call="in-1", status=486)]
        assert desk.state is PhoneState.ON_HOOK
        assert desk.phone.missed_calls == 0

    def test_a_caller_who_gives_up_leaves_a_missed_call(self, desk: Desk) -> None:
        desk.ring("in-1")
        desk.move("in-1", CallState.ENDED, 487)
        assert desk.state is PhoneState.ON_HOOK
        assert desk.display.detail == "1 missed call"
        desk.ring("in-2")
        desk.move("in-2", CallState.ENDED, 487)
        assert desk.display.detail == "2 missed calls"

        desk.lift()
        desk.replace()

        assert desk.display.detail == "On hook"

    @pytest.mark.parametrize("occupation", ["dial tone", "calling", "ringing", "talking", "ended"])
    def test_a_phone_in_use_is_busy_and_not_disturbed(self, desk: Desk, occupation: str) -> None:
        if occupation == "dial tone":
            desk.lift()
        elif occupation == "calling":
            desk.call()
        elif occupation == "ringing":
            desk.ring("in-1")
        else:
            desk.talk()
            if occupation == "ended":
                desk.move("out-1", CallState.ENDED, 200)
        before = (desk.state, desk.display)

        assert desk.ring("in-2") == [Reject(call="in-2", status=486)]
        desk.move("in-2", CallState.ENDED, 486)

        assert (desk.state, desk.display) == before

    def test_replacing_a_handset_that_is_down_does_not_refuse_the_call(self, desk: Desk) -> None:
        desk.ring()

        assert desk.replace() == []
        assert desk.state is PhoneState.RINGING_IN

    def test_a_call_that_ends_while_being_answered_is_over(self, desk: Desk) -> None:
        desk.ring()
        desk.lift()

        desk.move("in-1", CallState.ENDED, 487, "Request Terminated")

        assert desk.state is PhoneState.FAILED
        assert desk.replace() == [SILENCE]


class TestTalking:
    def test_the_call_timer_runs_from_the_answer(self, desk: Desk) -> None:
        desk.call()
        desk.pass_time(30)
        assert desk.display.call_timer == ""
        desk.move("out-1", CallState.CONNECTED, 200)
        assert desk.display.call_timer == "00:00"
        desk.pass_time(83.9)
        assert desk.display.call_timer == "01:23"
        desk.pass_time(3600)
        assert desk.display.call_timer == "1:01:23"

    def test_keys_go_to_the_far_end(self, desk: Desk) -> None:
        desk.talk()

        assert desk.press("1#") == [SendDtmf(call="out-1", digits="1"), SendDtmf(call="out-1", digits="#")]
        assert desk.state is PhoneState.TALKING
        assert desk.display.detail == "Connected  1#"

    @pytest.mark.parametrize("by", ["handset", "red key"])
    def test_hanging_up_ends_the_call(self, desk: Desk, by: str) -> None:
        desk.talk()

        assert (desk.replace() if by == "handset" else desk.red()) == [HangUp(call="out-1"), SILENCE]
        assert desk.state is PhoneState.ON_HOOK
        assert desk.display.call_timer == ""

    def test_when_the_far_end_hangs_up_the_duration_stays_to_be_seen(self, desk: Desk) -> None:
        desk.talk()
        desk.pass_time(65)

        assert desk.move("out-1", CallState.ENDED, 200, "Normal call clearing") == [ear(BUSY_TONE)]
        desk.pass_time(5)

        assert desk.state is PhoneState.ENDED
        assert (desk.display.detail, desk.display.call_timer) == ("Call ended", "01:05")
        assert desk.pass_time(5) == [SILENCE]
        assert desk.display.call_timer == ""

    def test_a_transferred_phone_talks_on_in_the_new_call(self, desk: Desk) -> None:
        desk.talk()
        desk.tell(events.CallMoved(call="out-1", to="moved-1"))
        desk.move("moved-1", CallState.CALLING)
        assert desk.state is PhoneState.TALKING
        desk.move("moved-1", CallState.CONNECTED, 200)
        desk.move("out-1", CallState.ENDED, 200)

        assert desk.state is PhoneState.TALKING
        assert desk.red() == [HangUp(call="moved-1"), SILENCE]

    def test_a_phone_that_was_left_before_the_new_call_is_answered_waits_for_it(self, desk: Desk) -> None:
        desk.talk()
        desk.tell(events.CallMoved(call="out-1", to="moved-1"))
        desk.move("out-1", CallState.ENDED, 200)
        assert desk.state is PhoneState.TALKING
        desk.move("moved-1", CallState.ENDED, 486, "Busy Here")

        assert desk.state is PhoneState.ENDED

    def test_hanging_up_in_the_middle_of_a_transfer_ends_both_calls(self, desk: Desk) -> None:
        desk.talk()
        desk.tell(events.CallMoved(call="out-1", to="moved-1"))

        assert desk.red() == [HangUp(call="out-1"), HangUp(call="moved-1"), SILENCE]
        desk.move("moved-1", CallState.CONNECTED, 200)
        assert desk.state is PhoneState.ON_HOOK

    def test_a_transfer_that_fails_leaves_the_call_as_it_was(self, desk: Desk) -> None:
        desk.talk()
        desk.tell(events.CallMoved(call="out-1", to="moved-1"))
        desk.move("moved-1", CallState.ENDED, 486, "Busy Here")

        assert desk.state is PhoneState.TALKING
        assert desk.red() == [HangUp(call="out-1"), SILENCE]

    def test_the_next_call_has_a_name_of_its_own(self, desk: Desk) -> None:
        desk.talk()
        desk.replace()

        desk.lift()
        desk.press("0003")
        assert desk.green()[-1] == PlaceCall(call="out-2", target="0003")


class TestService:
    def test_the_display_tells_whether_the_exchange_knows_the_phone(self) -> None:
        phone = DeskPhone("0001")
        assert display_of(phone, 0).lamp is Lamp.FAULT
        assert display_of(phone, 0).status == "Connecting…"

        phone.handle_event(events.Registered(number="0001", expires_s=120), 0)
        assert (display_of(phone, 0).lamp, display_of(phone, 0).status) == (Lamp.DARK, "Ready")

        phone.handle_event(
            events.RegistrationFailed(number="0001", status=401, reason="Unauthorized", retrying=False), 0
        )
        assert (display_of(phone, 0).lamp, display_of(phone, 0).status) == (Lamp.FAULT, "Wrong password")

    def test_a_call_in_progress_outlives_a_lost_registration(self, desk: Desk) -> None:
        desk.talk()

        desk.tell(events.RegistrationFailed(number="0001", status=503, reason="", retrying=True))

        assert desk.state is PhoneState.TALKING
        assert desk.display.status == "Exchange unavailable"

    def test_a_call_is_lost_with_the_engine(self, desk: Desk) -> None:
        desk.talk()

        assert desk.tell(events.EngineFailed(exit_code=-6, reason="")) == []
        assert desk.phone.service is Service.ENGINE_LOST
        assert desk.display.detail == "Call lost"
        assert desk.replace() == [SILENCE]  # nobody is told to hang up what is gone

    def test_ringing_stops_with_the_engine(self, desk: Desk) -> None:
        desk.ring()

        desk.tell(events.EngineFailed(exit_code=-6, reason=""))

        assert desk.state is PhoneState.ON_HOOK

    def test_without_an_engine_there_is_no_dial_tone(self, desk: Desk) -> None:
        desk.tell(events.EngineFailed(exit_code=-6, reason=""))

        desk.lift()

        assert desk.state is PhoneState.FAILED
        assert desk.display.detail == "Out of service"

    def test_a_new_engine_brings_the_phone_back(self, desk: Desk) -> None:
        desk.tell(events.EngineFailed(exit_code=-6, reason=""))
        desk.tell(events.Started(address="127.0.0.1", port=5070, library=""))
        assert desk.display.status == "Connecting…"
        desk.tell(events.Registered(number="0001", expires_s=120))

        assert desk.display.status == "Ready"
        assert desk.lift() == [ear(DIAL_TONE)]


def test_the_timer_wants_to_be_called_only_when_something_is_due(desk: Desk) -> None:
    assert desk.phone.next_deadline() is None
    desk.lift()
    assert desk.phone.next_deadline() == desk.now + 20
    desk.press("0")
    assert desk.phone.next_deadline() == desk.now + 4
    desk.green()
    assert desk.phone.next_deadline() is None


def test_a_timer_that_comes_early_does_nothing(desk: Desk) -> None:
    desk.lift()
    desk.press("0002")

    assert desk.pass_time(1) == []
    assert desk.state is PhoneState.DIALLING
