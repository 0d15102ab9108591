"""Tones as descriptions, and the measuring of recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softphone.engine.sound import Burst, Tone, continuous, dtmf_tone
from softphone.phone.tones import BUSY_TONE, CONGESTION_TONE, DIAL_TONE, RING_BACK_TONE
from tests.support import tones
from tests.support.tones import Recording


@pytest.mark.parametrize(
    ("key", "frequencies"),
    [("1", (697, 1209)), ("5", (770, 1336)), ("0", (941, 1336)), ("#", (941, 1477)), ("D", (941, 1633))],
)
def test_a_key_has_the_frequencies_of_its_row_and_column(key: str, frequencies: tuple[int, int]) -> None:
    assert [burst.frequencies for burst in dtmf_tone(key).bursts] == [frequencies]
    assert not dtmf_tone(key).repeat


def test_all_keys_differ() -> None:
    assert len({dtmf_tone(key) for key in "0123456789*#ABCD"}) == 16


@pytest.mark.parametrize("key", ["", "E", "12", "é"])
def test_what_is_no_key_has_no_tone(key: str) -> None:
    with pytest.raises(ValueError, match="keypad"):
        dtmf_tone(key)


@pytest.mark.parametrize(
    ("tone", "cadence"),
    [
        (DIAL_TONE, (350, 440, 1000, 0)),
        (RING_BACK_TONE, (440, 480, 2000, 4000)),
        (BUSY_TONE, (480, 620, 500, 500)),
        (CONGESTION_TONE, (480, 620, 250, 250)),
    ],
)
def test_call_progress_tones_are_the_known_ones(tone: Tone, cadence: tuple[int, int, int, int]) -> None:
    (burst,) = tone.bursts

    assert (*burst.frequencies, burst.on_ms, burst.off_ms) == cadence
    assert tone.repeat


@pytest.mark.parametrize(
    ("frequencies", "on_ms", "off_ms"),
    [
        ((), 100, 0),
        ((1, 2, 3), 100, 0),
        ((19,), 100, 0),
        ((7001,), 100, 0),
        ((440,), 0, 0),
        ((440,), -1, 5),
        ((440,), 60_001, 0),
    ],
)
def test_impossible_bursts_are_refused(frequencies: tuple[int, ...], on_ms: int, off_ms: int) -> None:
    with pytest.raises(ValueError, match=r"burst|frequencies"):
        Burst(frequencies=frequencies, on_ms=on_ms, off_ms=off_ms)


def test_a_tone_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Tone(bursts=())
    with pytest.raises(ValueError, match="one or two"):
        continuous()


def with_noise(recording: Recording, amplitude: float) -> Recording:
    noise = np.random.default_rng(seed=1).normal(0, amplitude, len(recording.samples))
    return Recording(samples=recording.samples + noise, rate_hz=recording.rate_hz)


@pytest.mark.parametrize("frequency_hz", [440.0, 441.3, 697.0, 3000.0])
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_a_measured_frequency_is_right_within_a_hertz(frequency_hz: float, rate_hz: int) -> None:
    recording = with_noise(tones.tone(frequency_hz, seconds=0.5, rate_hz=rate_hz), 0.05)

    assert tones.dominant_frequency_hz(recording) == pytest.approx(frequency_hz, abs=1)


def test_goertzel_finds_the_power_of_a_sine_wave_and_none_beside_it() -> None:
    recording = tones.tone(440, seconds=0.5, amplitude=0.4)

    assert tones.goertzel_power(recording, 440) == pytest.approx(0.4**2 / 2, rel=0.01)
    assert tones.goertzel_power(recording, 1000) < 1e-6


def test_the_ratio_of_signal_to_noise_is_that_of_their_powers() -> None:
    # A sine of 0.3 has power 0.045; noise of deviation 0.03 has 0.0009, of which a little is under the tone.
    recording = with_noise(tones.tone(440, seconds=1), 0.03)

    assert tones.signal_to_noise_db(recording, 440) == pytest.approx(17, abs=1)
    assert tones.signal_to_noise_db(recording, 1000) < -10


def test_silence_and_noise_are_no_tone() -> None:
    silence = Recording(samples=np.zeros(8000), rate_hz=8000)

    assert tones.level_db(silence) == pytest.approx(-120)
    assert tones.signal_to_noise_db(silence, 440) <= 0
    assert tones.signal_to_noise_db(with_noise(silence, 0.1), 440) < 0


def test_both_frequencies_of_a_pair_count() -> None:
    recording = tones.tone(697, 1209, seconds=0.5)

    assert tones.signal_to_noise_db(recording, 697) < 1
    assert tones.signal_to_noise_db(recording, 697, 1209) > 40


def test_the_loudest_stretch_is_found() -> None:
    quiet = np.zeros(8000)
    loud = tones.tone(440, seconds=0.5, rate_hz=8000).samples
    recording = Recording(samples=np.concatenate((quiet, loud, quiet)), rate_hz=8000)

    assert np.array_equal(recording.loudest(0.5).samples, loud)
    assert recording.loudest(99) is recording


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    written = tones.tone(440, seconds=0.25, rate_hz=8000, amplitude=0.9)

    read = tones.read_wav(tones.write_wav(tmp_path / "tone.wav", written))

    assert read.rate_hz == 8000
    assert read.seconds == 0.25
    assert np.allclose(read.samples, written.samples, atol=1e-4)
