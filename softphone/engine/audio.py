"""The handset: what goes into the mouthpiece and what comes out of the earpiece.

All of it runs inside pjmedia's conference bridge, on its own thread. Feeding 20 ms frames from Python through
`AudioMediaPort` works too, but costs about half a millisecond of interpreter each; here a frame costs none,
and no pause of the interpreter can be heard.
"""

from __future__ import annotations

import wave
from typing import Any, Final

import pjsua2

from softphone.engine.errors import UnableToObeyError
from softphone.engine.recording import Recordings
from softphone.engine.sound import Side, Tone

CLOCK_RATE_HZ: Final = 16_000
# Of full scale (32,767): about -9 dB, loud and free of clipping when both waves of a pair peak together.
_TONE_VOLUME: Final = 11_500
# pjmedia reads files ahead; a file counts as played this long after its last sample was due.
_WAV_SLACK_S: Final = 0.1


class UnableToPlayError(UnableToObeyError):
    """The file cannot be played."""


class Handset:
    """Connects the calls with tones, files, the recorder and the sound device.

    `now` is in monotonic seconds.
    """

    def __init__(self, *, device_out: Any) -> None:
        self._calls: dict[str, Any] = {}
        self._tones: dict[Side, Any] = {side: _new_tone_generator() for side in Side}
        self._wav: Any = None
        self._wav_path = ""
        self._wav_ends_at: float | None = None
        self.recordings = Recordings()
        self._device_out = device_out
        self._tones[Side.EAR].startTransmit(device_out)

    def attach_call(self, call: str, audio: Any) -> None:
        """Connect a call's sound, again after each change of its media."""
        self._calls[call] = audio
        self._tones[Side.CALL].startTransmit(audio)
        audio.startTransmit(self._device_out)
        if self._wav is not None:
            self._wav.startTransmit(audio)
        if self.recordings.sink is not None:
            audio.startTransmit(self.recordings.sink)

    def detach_call(self, call: str) -> None:
        """Forget a call that has ended: the library has taken its sound off the bridge already."""
        self._calls.pop(call, None)

    def play_tone(self, tone: Tone, side: Side) -> None:
        self.stop_playing(side)
        self._tones[side].play(_tone_descriptions(tone), tone.repeat)

    def play_wav(self, path: str, *, repeat: bool, now: float) -> None:
        """Raises UnableToPlayError when the file is not there or not 16-bit mono PCM."""
        duration_s = _wav_duration_s(path)
        player = pjsua2.AudioMediaPlayer()
        player.createPlayer(path, 0 if repeat else pjsua2.PJMEDIA_FILE_NO_LOOP)
        self.stop_playing(Side.CALL)
        self._wav, self._wav_path = player, path
        self._wav_ends_at = None if repeat else now + duration_s + _WAV_SLACK_S
        for audio in self._calls.values():
            player.startTransmit(audio)

    def finished_wav(self, now: float) -> str | None:
        """The path of the file that has come to its end since the last time, if one has."""
        if self._wav_ends_at is None or now < self._wav_ends_at:
            return None
        path = self._wav_path
        self.stop_playing(Side.CALL)
        return path

    def stop_playing(self, side: Side) -> None:
        self._tones[side].stop()
        if side is Side.CALL:
            self._wav = self._wav_ends_at = None

    def start_recording(self, path: str, *, now: float) -> None:
        """Record the earpiece. Raises UnableToObeyError when the file cannot be written."""
        sink = self.recordings.start(path, now=now)
        self._tones[Side.EAR].startTransmit(sink)
        for audio in self._calls.values():
            audio.startTransmit(sink)

    def close(self) -> None:
        """Take everything off the bridge; call it before the library is destroyed."""
        self._calls.clear()
        self.recordings.drop()
        self._wav = self._device_out = None
        self._tones.clear()


def _new_tone_generator() -> Any:
    generator = pjsua2.ToneGenerator()
    generator.createToneGenerator(CLOCK_RATE_HZ, 1)
    return generator


def _wav_duration_s(path: str) -> float:
    try:
        with wave.open(path, "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1 or not file.getnframes():
                raise UnableToPlayError(f"{path} is not a 16-bit mono WAV file with sound in it")
            return file.getnframes() / file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UnableToPlayError(f"{path} cannot be played: {error}") from error


def _tone_descriptions(tone: Tone) -> Any:
    descriptions = pjsua2.ToneDescVector()
    for burst in tone.bursts:
        description = pjsua2.ToneDesc()
        description.freq1 = burst.frequencies[0]
        description.freq2 = burst.frequencies[1] if len(burst.frequencies) == 2 else 0
        description.on_msec = burst.on_ms
        description.off_msec = burst.off_ms
        description.volume = _TONE_VOLUME
        descriptions.append(description)
    return descriptions
