"""Two real engines calling each other on the loopback interface, without an exchange between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from softphone.engine import commands, events
from softphone.engine.events import CallState, CommandFailed
from softphone.engine.sound import Side, continuous
from tests.support.softphone import Phone, phone
from tests.support.tones import dominant_frequency_hz, level_db, tone, write_wav


@pytest.fixture(params=["udp", "tcp"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Phone, Phone]]:
    with (
        phone("0001", transport=request.param, directory=tmp_path) as alice,
        phone("0002", transport=request.param, directory=tmp_path) as bob,
    ):
        yield alice, bob


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Phone]:
    with phone("0001", directory=tmp_path) as alice:
        yield alice


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Phone]:
    with phone("0002", directory=tmp_path) as bob:
        yield bob


def connect(alice: Phone, bob: Phone) -> None:
    alice.call(direct_uri(bob))
    bob.wait_for_ring()
    alice.wait_until_ringing()
    bob.answer()
    alice.wait_until_talking()


def direct_uri(callee: Phone) -> str:
    transport = ";transport=tcp" if callee.transport == "tcp" else ""
    return f"{callee.sip_uri}{transport}"


def test_each_side_hears_the_tone_of_the_other_and_not_its_own(pair: tuple[Phone, Phone]) -> None:
    alice, bob = pair
    connect(alice, bob)
    assert alice.wait_for(events.MediaStarted).codec == "G722"

    alice.send_tone(440)
    bob.send_tone(1000)

    assert dominant_frequency_hz(bob.hear_frequency(440, min_snr_db=20)) == pytest.approx(440, abs=2)
    assert dominant_frequency_hz(alice.hear_frequency(1000, min_snr_db=20)) == pytest.approx(1000, abs=2)


def test_a_tone_stops_when_it_is_told_to(alice: Phone, bob: Phone) -> None:
    connect(alice, bob)
    alice.send_tone(440)
    bob.hear_frequency(440)

    alice.stop_sending()

    bob.hear_silence()


def test_a_wav_file_is_heard_at_the_other_end_once(alice: Phone, bob: Phone, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "said.wav", tone(697, 1209, seconds=1.5, rate_hz=8000))
    connect(alice, bob)

    alice.send_wav(path)
    heard = bob.listen(1.2).loudest(0.5)

    assert level_db(heard) > -20
    assert abs(dominant_frequency_hz(heard) - 697) < 2 or abs(dominant_frequency_hz(heard) - 1209) < 2
    assert alice.wait_for(events.PlayingFinished).path == str(path)
    bob.hear_silence()


def test_keys_arrive_in_order(alice: Phone, bob: Phone) -> None:
    connect(alice, bob)

    alice.send_dtmf("0123456789*#ABCD")

    bob.expect_dtmf("0123456789*#ABCD")


@pytest.mark.parametrize("caller_hangs_up", [True, False])
def test_hanging_up_ends_the_call_at_both_ends(alice: Phone, bob: Phone, *, caller_hangs_up: bool) -> None:
    connect(alice, bob)
    first, second = (alice, bob) if caller_hangs_up else (bob, alice)

    first.hang_up()

    assert second.wait_for_end().status == 200


@pytest.mark.parametrize(("status", "reason"), [(486, "Busy Here"), (603, "Decline")])
def test_a_refused_call_ends_with_the_status_of_the_refusal(
    alice: Phone, bob: Phone, status: int, reason: str
) -> None:
    alice.call(direct_uri(bob))
    bob.wait_for_ring()

    bob.reject(status)

    ended = alice.wait_for_end()
    assert (ended.status, ended.reason) == (status, reason)
    bob.wait_for_end()


def test_a_caller_who_gives_up_stops_the_ringing(alice: Phone, bob: Phone) -> None:
    alice.call(direct_uri(bob))
    bob.wait_for_ring()
    alice.wait_until_ringing()

    assert alice.hang_up().status == 487
    assert bob.wait_for_end().status == 487


def test_a_second_call_after_the_first_is_like_the_first(alice: Phone, bob: Phone) -> None:
    connect(alice, bob)
    alice.hang_up()
    bob.wait_for_end()

    connect(bob, alice)
    bob.send_tone(600)

    alice.hear_frequency(600)


def test_a_tone_for_the_ear_is_not_heard_by_the_other_side(alice: Phone, bob: Phone) -> None:
    connect(alice, bob)

    alice.engine.send(commands.PlayTone(tone=continuous(350, 440), side=Side.EAR))

    assert level_db(alice.listen(0.5)) > -30
    bob.hear_silence()


def test_the_ear_hears_a_tone_without_any_call(alice: Phone) -> None:
    alice.engine.send(commands.PlayTone(tone=continuous(425), side=Side.EAR))

    alice.hear_frequency(425, min_snr_db=30)


def test_commands_that_make_no_sense_are_refused_and_change_nothing(alice: Phone, bob: Phone) -> None:
    connect(alice, bob)
    assert alice.call_name is not None
    nonsense: list[commands.Command] = [
        commands.StartUp(),
        commands.Answer(call="in-99"),
        commands.HangUp(call="out-99"),
        commands.Reject(call=alice.call_name, status=200),
        commands.PlaceCall(call=alice.call_name, target=direct_uri(bob)),
        commands.PlaceCall(call="out-2", target="0002"),
        commands.PlaceCall(call="out-3", target="sip:not a uri"),
        commands.SendDtmf(call=alice.call_name, digits="5x"),
        commands.PlayWav(path="/nowhere/at-all.wav"),
        commands.StartRecording(path="/nowhere/at-all.wav"),
        commands.StopRecording(),
    ]

    for command in nonsense:
        alice.engine.send(command)
        assert alice.wait_for(CommandFailed).command == type(command).__name__

    alice.send_tone(440)
    bob.hear_frequency(440)
    states = [event for event in alice.engine.receive() if isinstance(event, events.CallStateChanged)]
    assert all(event.state is not CallState.ENDED for event in states)
