"""Commands and events as lines of JSON.

A line per message rather than pickles: it can be read in a trace, and a process that was taken over through
the network cannot make the other one execute anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from softphone.engine.commands import Command
from softphone.engine.events import Event


class MalformedMessageError(ValueError):
    """A line is not one of the messages that were expected."""


def _by_name(union: Any) -> Mapping[str, type[Any]]:
    return {message.__name__: message for message in get_args(union)}


_COMMANDS: Final = _by_name(Command)
_EVENTS: Final = _by_name(Event)


def encode(message: Command | Event) -> bytes:
    """One line, with its line feed."""
    body = {"type": type(message).__name__, **_plain(message)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode_command(line: bytes) -> Command:
    """Raises MalformedMessageError for a line that is not a command."""
    command: Command = _decode(line, _COMMANDS)
    return command


def decode_event(line: bytes) -> Event:
    """Raises MalformedMessageError for a line that is not an event."""
    event: Event = _decode(line, _EVENTS)
    return event


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _decode(line: bytes, known: Mapping[str, type[Any]]) -> Any:
    try:
        body = json.loads(line)
    except ValueError as error:
        raise MalformedMessageError(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise MalformedMessageError("a message is a JSON object")
    name = body.pop("type", None)
    if not isinstance(name, str) or name not in known:
        raise MalformedMessageError(f"no such message: {name!r}")
    return _typed(known[name], body, where=name)


def _typed(kind: Any, value: Any, *, where: str) -> Any:
    """`value`, as it came out of JSON, as an instance of the annotated type `kind`."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _typed_dataclass(kind, value, where=where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise MalformedMessageError(f"{where}: {error}") from error
    if get_origin(kind) is tuple:
        item_kind = get_args(kind)[0]
        if not isinstance(value, list):
            raise MalformedMessageError(f"{where}: a list is expected")
        return tuple(_typed(item_kind, item, where=where) for item in value)
    if get_origin(kind) in (Union, UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        kind = next(option for option in get_args(kind) if option is not type(None))
    if type(value) is not kind:
        raise MalformedMessageError(f"{where}: {kind.__name__} is expected, not {value!r}")
    return value


def _typed_dataclass(kind: type[Any], value: Any, *, where: str) -> Any:
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{where}: an object is expected")
    hints = get_type_hints(kind)
    if unknown := value.keys() - hints.keys():
        raise MalformedMessageError(f"{where}: unknown fields {', '.join(sorted(unknown))}")
    arguments = {name: _typed(hints[name], item, where=f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise MalformedMessageError(f"{where}: {error}") from error
