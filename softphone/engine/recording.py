"""Recordings of the earpiece, and knowing when their files are whole."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Final

import pjsua2

from softphone.engine.errors import UnableToObeyError

# The bridge closes a file within a frame or two; one that is not whole by then never will be (the disk is
# full).
_CLOSING_S: Final = 2.0
_HEADER_BYTES: Final = 44


class Recordings:
    """At most one recording at a time, and those whose files the library is still closing."""

    def __init__(self) -> None:
        self._recorder: Any = None
        self._path = ""
        self._closing: dict[str, float] = {}  # path: when to give up

    @property
    def sink(self) -> Any | None:
        """Where sound must be sent to be recorded; None when nothing is being recorded."""
        return self._recorder

    def start(self, path: str, *, now: float) -> Any:
        """Begin a file and return its sink. Raises UnableToObeyError when it cannot be written."""
        if path in self._closing:
            raise UnableToObeyError(f"{path} is just being closed")
        recorder = pjsua2.AudioMediaRecorder()
        try:
            recorder.createRecorder(path)
        except pjsua2.Error as error:
            raise UnableToObeyError(f"{path} cannot be written: {error.reason}") from error
        if self._recorder is not None:
            self.stop(now=now)
        self._recorder, self._path = recorder, path
        return recorder

    def stop(self, *, now: float) -> None:
        """Begin to close the file;

        `whole` tells when it is closed. Raises UnableToObeyError when there is none.
        """
        if self._recorder is None:
            raise UnableToObeyError("nothing is being recorded")
        self._recorder = None  # the last reference: the library takes it off the bridge and closes the file
        self._closing[self._path] = now + _CLOSING_S

    def closed(self, now: float) -> list[tuple[str, bool]]:
        """The files whose closing has come to its end since the last time, and whether each is whole."""
        results = [
            (path, whole)
            for path, deadline in self._closing.items()
            if (whole := _is_whole(path)) or now > deadline
        ]
        for path, _ in results:
            del self._closing[path]
        return results

    def drop(self) -> None:
        """Let the library close the file when it is destroyed."""
        self._recorder = None


def _is_whole(path: str) -> bool:
    """Whether the header tells the length that the file has: the library writes it last."""
    try:
        size = Path(path).stat().st_size
        with wave.open(path, "rb") as file:
            return size > 0 and file.getnframes() * file.getsampwidth() == size - _HEADER_BYTES
    except (OSError, EOFError, wave.Error):
        return False
