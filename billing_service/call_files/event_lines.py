"""Call events as JSON lines: on each line what `POST /v1/call` takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from billing_service.call_files.lines import Line
from billing_service.call_files.parsed import Parsed
from billing_service.domain.call_event import CallEvent
from billing_service.domain.errors import InvalidFields

NAME: Final = "events"


def recognises(texts: Sequence[str]) -> bool:
    """Whether lines are the beginning of a file in this format."""
    return any(text.lstrip().startswith("{") for text in texts)


class EventLinesReader:
    """Reads files of this format."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def read(self, lines: Sequence[Line]) -> Iterator[Parsed]:
        """See `CallFileReader`."""
        for line in lines:
            if line.fault is not None:
                yield Parsed(line, line.fault)
            elif line.text.strip():
                yield Parsed(line, self._read(line.text))

    def _read(self, text: str) -> CallEvent | str:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"the line is no JSON: {error}"
        if not isinstance(document, dict):
            return "the line is no JSON object"
        try:
            return CallEvent.from_document(document, zone=self._zone)
        except InvalidFields as error:
            return str(error)
