"""Sounds as values: what to play and where, with no idea of how.

Shared by the phone (which decides what is to be heard) and the engine (which makes it heard).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """Where a sound goes."""

    CALL = "call"  # into the mouthpiece: the far end hears it
    EAR = "ear"  # into the earpiece: only the user hears it


@dataclass(frozen=True, slots=True)
class Burst:
    """One stretch of one or two sine waves, then silence.

    Frequencies are in Hz (1 to 2 of them), durations in milliseconds. With `on_ms` 0 the burst is only its
    silence.
    """

    frequencies: tuple[int, ...]
    on_ms: int
    off_ms: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.frequencies) <= 2:
            raise ValueError(f"a burst mixes one or two frequencies, not {len(self.frequencies)}")
        if any(not 20 <= frequency <= 7000 for frequency in self.frequencies):
            raise ValueError(f"frequencies must be 20 to 7000 Hz, not {self.frequencies}")
        if not (0 <= self.on_ms <= 60_000 and 0 <= self.off_ms <= 60_000 and self.on_ms + self.off_ms > 0):
            raise ValueError(f"a burst lasts 1 to 60,000 ms, not {self.on_ms} + {self.off_ms}")


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone with its cadence: bursts one after the other, once or for ever."""

    bursts: tuple[Burst, ...]
    repeat: bool = True

    def __post_init__(self) -> None:
        if not self.bursts:
            raise ValueError("a tone needs at least one burst")


def continuous(*frequencies: int) -> Tone:
    """A tone of one or two frequencies (Hz) that sounds until it is stopped."""
    return Tone(bursts=(Burst(frequencies=frequencies, on_ms=1000),))


# ITU-T Q.23: each key is one frequency of its row and one of its column.
_DTMF_ROWS_HZ = (697, 770, 852, 941)
_DTMF_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_DTMF_KEYS = ("123A", "456B", "789C", "*0#D")


def dtmf_tone(key: str, *, on_ms: int = 100, off_ms: int = 60) -> Tone:
    """The pair of frequencies of a key (ITU-T Q.23), once.

    Raises ValueError for anything but 0-9, *, # and A-D.
    """
    for row_hz, keys in zip(_DTMF_ROWS_HZ, _DTMF_KEYS, strict=True):
        for column_hz, candidate in zip(_DTMF_COLUMNS_HZ, keys, strict=True):
            if candidate == key:
                burst = Burst(frequencies=(row_hz, column_hz), on_ms=on_ms, off_ms=off_ms)
                return Tone(bursts=(burst,), repeat=False)
    raise ValueError(f"{key!r} is not a key of a telephone keypad")
