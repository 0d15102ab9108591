"""Nonces that need no memory until they are used, and the memory of how often each was used.

A nonce is the second it was made in, a serial number, and a keyed hash over both and the address that it is
sent to, so telling our own nonces from forged or stolen ones takes one hash and no table. Only a nonce that
was used with the right password is remembered: that memory refuses replays (RFC 7616 §5.4) and lets go of a
nonce when it has expired.
"""

import binascii
import hashlib
import hmac
import struct
from collections.abc import Callable
from enum import Enum
from typing import Final

NONCE_LIFETIME_S: Final = 300
"""How long a nonce may be used. A phone with an older one is challenged again, with `stale=true`."""

_FIELDS: Final = struct.Struct(">IQ")  # second it was made in, serial number
_FIELDS_SIZE: Final = 12
_MAC_SIZE: Final = 12
# Both sizes divide by three: base64 without padding.
_TEXT_LENGTH: Final = (_FIELDS_SIZE + _MAC_SIZE) * 4 // 3
_SECONDS_MASK: Final = 0xFFFFFFFF
# 64 counts of reordering: requests on UDP may overtake each other, but not by this much.
_WINDOW_BITS: Final = 64
_WINDOW_MASK: Final = (1 << _WINDOW_BITS) - 1
_MOST_REMEMBERED: Final = 500_000


class NonceUse(Enum):
    """What using a nonce came to."""

    FRESH = "fresh"
    REPLAYED = "replayed"


_FRESH: Final = NonceUse.FRESH


class NonceSource:
    """Makes nonces and recognises its own."""

    __slots__ = ("_keyed", "_oldest_serial", "_serial")

    def __init__(self, *, secret: bytes, random_bytes: Callable[[int], bytes]) -> None:
        # The random part makes the nonces of an earlier process, whose uses are forgotten, foreign to this
        # one. As a prefix a key is as good here as in its own block (nothing can be appended to what BLAKE2
        # hashes), and most often all is one block.
        key = hashlib.sha256(secret + random_bytes(32)).digest()
        self._keyed = hashlib.blake2s(key, digest_size=_MAC_SIZE)
        self._serial = 0
        self._oldest_serial = 0

    def make(self, now: float, source: str = "") -> str:
        """Return a nonce for a source that can't be guessed and was never made before."""
        self._serial += 1
        fields = _FIELDS.pack(int(now) & _SECONDS_MASK, self._serial)
        return binascii.b2a_base64(fields + self._mac(fields, source), newline=False).decode()

    def recognise(self, nonce: str, now: float, source: str = "") -> tuple[int, int] | None:
        """Return the second and serial number of a nonce made for this source and still good, else None."""
        if len(nonce) != _TEXT_LENGTH:
            return None
        try:
            raw = binascii.a2b_base64(nonce, strict_mode=True)
        except ValueError:
            return None
        fields = raw[:_FIELDS_SIZE]
        if len(raw) != _FIELDS_SIZE + _MAC_SIZE or not hmac.compare_digest(
            raw[_FIELDS_SIZE:], self._mac(fields, source)
        ):
            return None
        made_at, serial = _FIELDS.unpack(fields)
        # A span on the ring of 32-bit seconds, so that a clock that counts past it does no harm.
        if (int(now) - made_at) & _SECONDS_MASK >= NONCE_LIFETIME_S or serial <= self._oldest_serial:
            return None
        return made_at, serial

    def disown_all(self) -> None:
        """Make every nonce handed out so far stale."""
        self._oldest_serial = self._serial

    def _mac(self, fields: bytes, source: str) -> bytes:
        mac = self._keyed.copy()
        mac.update(fields + source.encode())
        return mac.digest()


class NonceUses:
    """Remembers the nonce counts that were used, for as long as the nonce is good.

    Uses are kept per lifetime in which the nonce was made: when a third lifetime begins, nothing of the first
    can still be good, and it is dropped whole.
    """

    __slots__ = ("_capacity", "_generations", "_on_full")

    def __init__(self, *, on_full: Callable[[], None], capacity: int = _MOST_REMEMBERED) -> None:
        """`on_full` must make every nonce so far stale; called when `capacity` nonces are remembered."""
        self._generations: dict[int, dict[int, int]] = {}
        self._capacity = capacity
        self._on_full = on_full

    def __len__(self) -> int:
        remembered = 0
        for generation in self._generations.values():
            remembered += len(generation)
        return remembered

    def use(self, nonce: tuple[int, int], count: int) -> NonceUse:
        """Note that a nonce (second, serial) was used with this count; tell whether it had been before.

        Counts more than 64 below the highest seen are taken for replays.
        """
        made_at, serial = nonce
        generation = self._generation(made_at // NONCE_LIFETIME_S)
        known = generation.get(serial)
        if known is None:
            if len(self) >= self._capacity:
                self._generations.clear()
                self._on_full()
                return _FRESH
            generation[serial] = count << _WINDOW_BITS | 1
            return _FRESH
        highest, seen = known >> _WINDOW_BITS, known & _WINDOW_MASK
        ahead = count - highest
        if ahead > 0:
            seen = (seen << ahead | 1) & _WINDOW_MASK if ahead < _WINDOW_BITS else 1
            generation[serial] = count << _WINDOW_BITS | seen
            return _FRESH
        if ahead <= -_WINDOW_BITS:
            return NonceUse.REPLAYED
        bit = 1 << -ahead
        if seen & bit:
            return NonceUse.REPLAYED
        generation[serial] = known | bit
        return _FRESH

    def _generation(self, number: int) -> dict[int, int]:
        generation = self._generations.get(number)
        if generation is None:
            for old in [old for old in self._generations if old < number - 1]:
                del self._generations[old]
            generation = self._generations[number] = {}
        return generation
