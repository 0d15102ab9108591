"""The call-progress tones, North American plan (ITU-T E.180 Supplement 2): the ones a caller knows by ear."""

from __future__ import annotations

from typing import Final

from softphone.engine.sound import Burst, Tone, continuous

DIAL_TONE: Final = continuous(350, 440)
RING_BACK_TONE: Final = Tone(bursts=(Burst(frequencies=(440, 480), on_ms=2000, off_ms=4000),))
BUSY_TONE: Final = Tone(bursts=(Burst(frequencies=(480, 620), on_ms=500, off_ms=500),))
# Twice as fast as busy: the call could not be set up, and calling again at once will not help.
CONGESTION_TONE: Final = Tone(bursts=(Burst(frequencies=(480, 620), on_ms=250, off_ms=250),))
