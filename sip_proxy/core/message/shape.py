"""The shape of a message: what follows from the names of its headers alone.

A phone writes the same headers in the same order again and again, so a shape is worked out once and
remembered by its names: which header is where, what is missing, what is there too often. Reading a message
then is to look at its values.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from sip_proxy.core.message.headers import MANDATORY, SINGLE, header_key, written_name

Pick = Callable[[Sequence[str]], Sequence[str]]
"""Takes some of the lines of a message, in order."""

_UNUSABLE: Final = "?"  # the key of a line that is no header; no header name has it
_MOST_REMEMBERED: Final = 2048
_LONGEST_REMEMBERED: Final = 1024  # of all names together, in letters
_MOST_LINES_REMEMBERED: Final = 64
# With one of these a request is no stranger's, or there is more to be minded than who sends it.
_PROOFS_AND_DEMANDS: Final = frozenset({"authorization", "proxy-authorization", "require", "proxy-require"})
# Who a phone says it is. The second was never more than a draft, but many phones show it.
_ASSERTED: Final = frozenset({"p-asserted-identity", "remote-party-id"})


class Shape:
    """The keys of a message's lines (long form, lower case), the first being "" for the start line.

    `at` has the index of the first line with each key; those that every message is asked for have a name of
    their own, 0 for a line that isn't there; `only_route` is 0 also when there are several.
    `fault` says why no message of this shape can be worked with (RFC 3261 §8.1.1, §7.3.1), "" when one can;
    `is_readable` is False when a line is no header. `is_strangers`: a request of this shape has no
    credentials and came over one hop, and no header but those with a name here can keep it from being
    challenged. `echoed` picks Via, From, To, Call-ID and CSeq, in this order; `upstream` what of a response
    goes on to where the request came from: no topmost Via line, and no identity that a phone asserts.
    """

    __slots__ = (
        "_longer", "_only", "_without", "at", "call_id", "content_length", "cseq", "echoed", "fault", "from_",
        "has_one_via", "is_readable", "is_strangers", "keys", "max_forwards", "only_route", "to", "upstream",
        "via",
    )  # fmt: skip

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.at = at = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        self.is_readable = _UNUSABLE not in at
        self.fault = _fault(keys)
        self.has_one_via = keys.count("via") == 1
        self.is_strangers = not self.fault and self.has_one_via and _PROOFS_AND_DEMANDS.isdisjoint(at)
        self.call_id = at.get("call-id", 0)
        self.cseq = at.get("cseq", 0)
        self.from_ = at.get("from", 0)
        self.to = at.get("to", 0)
        self.via = at.get("via", 0)
        self.echoed: Pick = itemgetter(self.via, self.from_, self.to, self.call_id, self.cseq)
        self.upstream = _pick([i for i, key in enumerate(keys) if i != self.via and key not in _ASSERTED])
        self.max_forwards = at.get("max-forwards", 0)
        self.only_route = at.get("route", 0) if keys.count("route") == 1 else 0
        self.content_length = at.get("content-length", 0)
        self._longer: dict[str, Shape] = {}
        self._only: dict[frozenset[str], Pick] = {}
        self._without: dict[frozenset[str], Pick] = {}

    def plus(self, key: str) -> "Shape":
        """Return the shape of a message with one more line, at its end."""
        longer = self._longer.get(key)
        if longer is None:
            longer = self._longer[key] = Shape((*self.keys, key))
        return longer

    def only(self, wanted: frozenset[str]) -> Pick:
        """Return what picks the lines with these keys."""
        pick = self._only.get(wanted)
        if pick is None:
            kept = [index for index, key in enumerate(self.keys) if key in wanted]
            pick = self._only[wanted] = _pick(kept)
        return pick

    def without(self, unwanted: frozenset[str]) -> Pick:
        """Return what picks the lines without these keys."""
        pick = self._without.get(unwanted)
        if pick is None:
            pick = self._without[unwanted] = _pick(
                [i for i, key in enumerate(self.keys) if key not in unwanted]
            )
        return pick


_Look = tuple[int, str, str]
"""How many lines, how the first one begins, and one from the middle."""

_shapes: Final[dict[str, Shape]] = {}
_sightings: Final[dict[_Look, tuple[list[str], Shape]]] = {}
"""By its look: what each line of a message began with, colons included, and its shape."""


def known_shape(lines: list[str]) -> Shape | None:
    """Return the shape of a message that looks like one seen before, None when there was none such.

    One with a bare line break in it is not known. What a message looks like is a guess from a few letters,
    and every line is held against it. That costs a fifth of finding all the names.
    """
    seen = _sightings.get(_look_of(lines))
    if seen is None:
        return None
    beginnings, shape = seen
    # There are as many of both: that is part of the look.
    for line, beginning in zip(lines, beginnings):  # noqa: B905
        if not line.startswith(beginning):
            return None
    text = "".join(lines)
    return None if "\n" in text or "\r" in text else shape


def shape_of(lines: list[str]) -> Shape:
    """Return the shape of a message with these lines, and know it from now on."""
    names = [line[: line.find(":") + 1] for line in lines[1:]]
    joined = "".join(names)
    shape = _shapes.get(joined)
    if shape is None or len(shape.keys) != len(lines):
        shape = Shape(("", *map(_key_of, lines[1:])))
    # What begins with an empty line has more before it than a shape knows of (RFC 3261 §7.5).
    is_usual = shape.is_readable and lines[0] and len(lines) <= _MOST_LINES_REMEMBERED
    if is_usual and len(joined) <= _LONGEST_REMEMBERED:
        if len(_sightings) >= _MOST_REMEMBERED or len(_shapes) >= _MOST_REMEMBERED:
            # Strangers may write what they like; phones are soon known again.
            _sightings.clear()
            _shapes.clear()
        _shapes[joined] = shape
        _sightings[_look_of(lines)] = ["", *names], shape
    return shape


def _look_of(lines: list[str]) -> _Look:
    count = len(lines)
    return count, lines[0][:3], lines[count >> 1][:4]


def _key_of(line: str) -> str:
    name, colon, _ = line.partition(":")
    return (header_key(name) if colon else None) or _UNUSABLE


def _fault(keys: tuple[str, ...]) -> str:
    for key in SINGLE:
        if keys.count(key) > 1:
            return f"More than one {written_name(key)}"
    for key in MANDATORY:
        if key not in keys:
            return f"Missing {written_name(key)}"
    return ""


def _pick(indexes: list[int]) -> Pick:
    if len(indexes) > 1:
        return itemgetter(*indexes)
    # A slice, because of one index there would be no sequence.
    return itemgetter(slice(indexes[0], indexes[0] + 1) if indexes else slice(0))
