"""A parser of server-sent events (WHATWG HTML §9.2.6), fed with whatever bytes arrive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    name: str
    data: str


class EventStreamParser:
    """Feed it chunks, get whole events. Lines may end in LF, CR LF or CR, and may be cut anywhere."""

    def __init__(self) -> None:
        # Pieces of the unfinished line: a snapshot's line may be megabytes long and come in many chunks.
        self._pieces: list[bytes] = []
        self._after_carriage_return = False
        self._at_start = True
        self._name = ""
        self._data: list[str] = []

    def receive(self, chunk: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if self._after_carriage_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_carriage_return = False
        if not chunk:
            return events
        self._after_carriage_return = chunk.endswith(b"\r")
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for ending in lines[:-1]:
            self._pieces.append(ending)
            line = b"".join(self._pieces)
            self._pieces.clear()
            if (event := self._take_line(line)) is not None:
                events.append(event)
        if lines[-1]:
            self._pieces.append(lines[-1])
        return events

    def _take_line(self, raw: bytes) -> ServerSentEvent | None:
        line = raw.decode("utf-8", errors="replace")
        if self._at_start:
            line = line.removeprefix("\ufeff")
            self._at_start = False
        if not line:
            return self._finish_event()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        # `id` and `retry` are of no use to us: after a break we want a fresh snapshot.
        return None

    def _finish_event(self) -> ServerSentEvent | None:
        event = ServerSentEvent(self._name or "message", "\n".join(self._data)) if self._data else None
        self._name = ""
        self._data = []
        return event
