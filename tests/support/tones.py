"""Tones in WAV files: making them, and measuring which frequency a recording carries and how cleanly."""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

_FULL_SCALE: Final = 32_768.0
# What lies this close to a frequency belongs to it: the main lobe of the window over half a second, with room
# for the detuning of a jitter buffer.
_TONE_WIDTH_HZ: Final = 12.0


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound as floats from -1 to 1."""

    samples: Samples
    rate_hz: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz

    def loudest(self, seconds: float) -> Recording:
        """The stretch of this length with the most energy; all of it when it is shorter."""
        length = round(seconds * self.rate_hz)
        if length >= len(self.samples):
            return self
        energy = np.concatenate(([0.0], np.cumsum(self.samples**2)))
        start = int(np.argmax(energy[length:] - energy[:-length]))
        return Recording(samples=self.samples[start : start + length], rate_hz=self.rate_hz)


def tone(*frequencies_hz: float, seconds: float, rate_hz: int = 16_000, amplitude: float = 0.3) -> Recording:
    """The sum of sine waves, each of this amplitude (1 is full scale)."""
    instants = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = sum(
        (amplitude * np.sin(2 * np.pi * f * instants) for f in frequencies_hz), np.zeros(len(instants))
    )
    return Recording(samples=samples, rate_hz=rate_hz)


def write_wav(path: Path, recording: Recording) -> Path:
    """Write 16-bit mono PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(recording.rate_hz)
        file.writeframes((recording.samples * (_FULL_SCALE - 1)).round().astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> Recording:
    """Read 16-bit mono PCM."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        assert file.getnchannels() == 1
        frames = file.readframes(file.getnframes())
        return Recording(
            samples=np.frombuffer(frames, dtype="<i2") / _FULL_SCALE, rate_hz=file.getframerate()
        )


def goertzel_power(recording: Recording, frequency_hz: float) -> float:
    """Mean power of the component at one frequency (Goertzel's filter): amplitude² / 2 for a steady sine
    wave.
    """
    omega = 2 * math.pi * frequency_hz / recording.rate_hz
    # The filter's recursion, summed up: the correlation with a complex exponential.
    correlation = np.dot(recording.samples, np.exp(-1j * omega * np.arange(len(recording.samples))))
    return float(2 * abs(correlation) ** 2 / len(recording.samples) ** 2)


def dominant_frequency_hz(recording: Recording) -> float:
    """The strongest frequency, to a fraction of the resolution of its length (1 / seconds)."""
    spectrum = _power_spectrum(recording)
    peak = int(np.argmax(spectrum[1:-1])) + 1
    before, at, after = np.log(spectrum[peak - 1 : peak + 2] + 1e-30)
    offset = 0.5 * (before - after) / (before - 2 * at + after)
    return float((peak + offset) * recording.rate_hz / len(recording.samples))


def signal_to_noise_db(recording: Recording, *frequencies_hz: float) -> float:
    """The power at these frequencies over the power of everything else."""
    spectrum = _power_spectrum(recording)
    bins_hz = np.arange(len(spectrum)) * recording.rate_hz / len(recording.samples)
    ours = np.zeros(len(spectrum), dtype=bool)
    for frequency_hz in frequencies_hz:
        ours |= np.abs(bins_hz - frequency_hz) <= _TONE_WIDTH_HZ
    return 10 * math.log10((spectrum[ours].sum() + 1e-20) / (spectrum[~ours].sum() + 1e-20))


def level_db(recording: Recording) -> float:
    """The level of the whole, relative to a full-scale sine wave. Digital silence is -120."""
    return 10 * math.log10(2 * float(np.mean(recording.samples**2)) + 1e-12)


def _power_spectrum(recording: Recording) -> Samples:
    windowed = recording.samples * np.hanning(len(recording.samples))
    spectrum: Samples = np.abs(np.fft.rfft(windowed)) ** 2
    return spectrum
