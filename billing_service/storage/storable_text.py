"""Characters that JSON can carry and a database, or another JSON parser, cannot take."""

import re
from collections.abc import Iterator
from typing import Any

# NUL, which PostgreSQL's texts cannot hold, and halves of surrogate pairs (RFC 8259 §8.2).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_storable(text: str) -> bool:
    """Whether a text has only characters that can be stored and sent on."""
    return _UNSTORABLE.search(text) is None


def make_storable(text: str) -> str:
    """Put U+FFFD in place of what is no character."""
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def make_document_storable(document: dict[str, Any]) -> dict[str, Any]:
    """Do so in all texts of a JSON document, the names of its fields included."""
    return {make_storable(name): _make_value_storable(value) for name, value in document.items()}


def unstorable_places(value: Any, path: str) -> Iterator[str]:
    """Find the places in a JSON value whose texts cannot be stored; the places themselves can be."""
    match value:
        case str():
            if not is_storable(value):
                yield path
        case dict():
            for name, item in value.items():
                shown = make_storable(str(name))
                yield from unstorable_places(item, f"{path}.{shown}" if path else shown)
        case list():
            for index, item in enumerate(value):
                yield from unstorable_places(item, f"{path}[{index}]")


def _make_value_storable(value: Any) -> Any:
    match value:
        case str():
            return make_storable(value)
        case dict():
            return make_document_storable(value)
        case list():
            return [_make_value_storable(item) for item in value]
        case _:
            return value
