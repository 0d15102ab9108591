"""What was worked out once for a text is kept in a dictionary while there is room.

`functools.lru_cache` does that as well, but a call of it costs the compiled core as much as most of what it
would save: seven hundred instructions, where a look into a dictionary costs a hundred and fifty.
"""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def remember(known: dict[Key, Value], key: Key, value: Value, most: int) -> Value:
    """Keep a value, and return it. With `most` of them all are let go: what is in use is soon known again."""
    if len(known) >= most:
        known.clear()
    known[key] = value
    return value
