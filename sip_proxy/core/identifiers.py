"""Unguessable identifiers from an injected source of randomness."""

import struct
from collections.abc import Callable
from typing import Final

from sip_proxy.core.message.via import MAGIC_COOKIE

_POOL_BYTES: Final = 4096
_DIGEST: Final = struct.Struct(">q")


class Identifiers:
    """Makes branches, tags and record ids.

    Randomness is drawn in pools: a call needs half a dozen identifiers, and each draw is a system call.
    """

    __slots__ = ("_offset", "_pool", "_random_bytes", "_salt")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._pool = ""
        self._offset = 0
        self._salt = random_bytes(16)

    def _hex(self, digits: int) -> str:
        if self._offset + digits > len(self._pool):
            self._pool = self._random_bytes(_POOL_BYTES).hex()
            self._offset = 0
        start = self._offset
        self._offset = start + digits
        return self._pool[start : self._offset]

    def branch(self, loop_mark: str) -> str:
        """A new Via branch that carries the mark by which a loop is recognised (RFC 3261 §16.6 step 8)."""
        return f"{MAGIC_COOKIE}{loop_mark}.{self._hex(24)}"

    def repeatable_branch(self, *parts: object) -> str:
        """The same branch for the same parts, for requests forwarded without a transaction (§16.11)."""
        return f"{MAGIC_COOKIE}s.{self._digest(parts)}"

    def loop_mark(self, *parts: object) -> str:
        """Eight digits that are the same when a request comes around unchanged (RFC 5393 §4.2)."""
        return self._digest(parts)[:8]

    def repeatable_tag(self, *parts: object) -> str:
        """The same To tag for the same parts, for responses given without a transaction (§8.2.7)."""
        return self._digest(parts)

    def tag(self) -> str:
        """A new tag (§19.3)."""
        return self._hex(16)

    def record_id(self) -> str:
        """A new call record id: 128 random bits."""
        return self._hex(32)

    def _digest(self, parts: tuple[object, ...]) -> str:
        # Python's hash of text is keyed (SipHash), so peers can't aim for collisions; it need not outlive
        # the process. A format takes three times as much code.
        return _DIGEST.pack(hash((self._salt, parts))).hex()
