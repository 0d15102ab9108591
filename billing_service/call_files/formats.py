"""The formats of files of calls by name, and which of them a file has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

from billing_service.call_files import asterisk, event_lines, freeswitch, kamailio, own_csv
from billing_service.call_files.lines import Line, UnableToReadFile
from billing_service.call_files.parsed import CallFileReader

_LINES_LOOKED_AT: Final = 50
_RECOGNISERS: Final[dict[str, Callable[[Sequence[str]], bool]]] = {
    event_lines.NAME: event_lines.recognises,
    own_csv.NAME: own_csv.recognises,
    kamailio.NAME: kamailio.recognises,
    asterisk.NAME: asterisk.recognises,
    freeswitch.NAME: freeswitch.recognises,
}
FORMATS: Final = tuple(_RECOGNISERS)


def recognise(lines: Sequence[Line]) -> str:
    """The name of the format of a file that begins with these lines.

    Raises:
        UnableToReadFile: it is none of those that are known.
    """
    texts = [line.text for line in lines[:_LINES_LOOKED_AT] if line.text.strip()]
    for name, recognises in _RECOGNISERS.items():
        if texts and recognises(texts):
            return name
    raise UnableToReadFile(f"the format of the file is not recognised; say which it is: {', '.join(FORMATS)}")


def reader_of(name: str, *, zone: tzinfo, emergency_numbers: frozenset[str]) -> CallFileReader:
    """A reader for one file of a format. `zone` is for times without offset."""
    if name == own_csv.NAME:
        return own_csv.OwnCsvReader(zone, emergency_numbers)
    if name == asterisk.NAME:
        return asterisk.AsteriskReader(zone, emergency_numbers)
    if name == freeswitch.NAME:
        return freeswitch.FreeswitchReader(zone, emergency_numbers)
    if name == kamailio.NAME:
        return kamailio.KamailioReader(zone, emergency_numbers)
    assert name == event_lines.NAME, "the name is one of FORMATS"
    return event_lines.EventLinesReader(zone)
