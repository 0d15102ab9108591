"""What each source has shown of itself: good credentials, wrong ones, a search for numbers.

No rule here asks whether a number exists: else strangers could find that out by who is silenced and when.
Everything fades away by itself, is bounded in size, and counts for its source alone: whoever guesses at
one address changes nothing for the phone at another. (Nor can he lend his guesses an address that isn't his:
wrong credentials count only with a nonce that was sent to that very source.)
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_SUBNET_BITS: Final = 64

TRUST_S: Final = 7200.0
"""For how long a source that has shown good credentials is no stranger: the longest registration."""

MOST_FAILURES: Final = 10
FAILURE_SPAN_S: Final = 60.0
SHORTEST_LOCKOUT_S: Final = 60.0
LONGEST_LOCKOUT_S: Final = 960.0

MOST_ASKED_FOR: Final = 100
"""How many numbers a stranger may ask for without credentials before it hears no more challenges.

A big house may ask for that many within a moment, when the power comes back: so credentials are still looked
at, and the first good ones end the silence.
"""

MOST_GUESSED_AT: Final = 20
"""For how many numbers a stranger may give wrong credentials before it hears nothing at all."""

SEARCH_SPAN_S: Final = 60.0
SILENCE_S: Final = 300.0

_MOST_SOURCES: Final = 100_000


@dataclass(slots=True)
class _Failures:
    """Wrong credentials from one source for one number."""

    since: float
    count: int = 0
    lockouts: int = 0
    locked_until: float = 0.0

    def is_over(self, now: float) -> bool:
        return now - max(self.since, self.locked_until) > LONGEST_LOCKOUT_S


@dataclass(slots=True)
class _Search:
    """The numbers that a source has asked for lately, and those that it gave wrong credentials for.

    Kept as sketches, in which each number has one bit: a few share one, so a little more is let pass.
    """

    since: float
    asked_for: int = 0
    guessed_at: int = 0
    unheard_until: float = 0.0
    silent_until: float = 0.0
    noted_until: float = 0.0

    def is_over(self, now: float) -> bool:
        ends = (self.since + SEARCH_SPAN_S, self.unheard_until, self.silent_until, self.noted_until)
        return now > max(ends)


def _bit_of(number: str) -> int:
    # Strings are hashed with a secret of the process, so nobody can choose numbers that share a bit.
    return 1 << (hash(number) & 1023)


def source_of(host: str) -> str:
    """Return the source that an IP address belongs to: itself, and of IPv6 its subnet.

    One subscriber line has a whole /64 (RFC 6177), so single addresses there would limit nobody.
    """
    return _subnet_of(host) if ":" in host else host


@lru_cache(maxsize=4096)
def _subnet_of(host: str) -> str:
    address = ipaddress.IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _SUBNET_BITS), strict=False))


class Sources:
    """Remembers sources. Instants are on the monotonic clock and must not go backwards."""

    __slots__ = ("_capacity", "_failures", "_searches", "_trusted")

    def __init__(self, *, capacity: int = _MOST_SOURCES) -> None:
        """`capacity` is how many trusted sources are remembered, and how many others."""
        self._capacity = capacity
        self._trusted: dict[str, float] = {}
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._searches: dict[str, _Search] = {}

    def is_trusted(self, host: str, now: float) -> bool:
        """Tell whether good credentials came from here lately."""
        host = source_of(host)
        seen_at = self._trusted.get(host)
        return seen_at is not None and now - seen_at < TRUST_S

    def authenticated(self, host: str, number: str, now: float) -> None:
        """Good credentials came: what was wrong before is forgiven."""
        host = source_of(host)
        trusted = self._trusted
        if host not in trusted and len(trusted) >= self._capacity:
            self._trusted = trusted = {
                known: seen_at for known, seen_at in trusted.items() if now - seen_at < TRUST_S
            }
            if len(trusted) >= self._capacity:
                trusted.clear()
        trusted[host] = now
        if self._failures:
            self._failures.pop((host, number), None)
        if self._searches:
            self._searches.pop(host, None)

    def is_locked_out(self, host: str, number: str, now: float) -> bool:
        """Tell whether credentials of this number from here are not to be looked at."""
        if not self._failures:
            return False
        failures = self._failures.get((source_of(host), number))
        return failures is not None and now < failures.locked_until

    def failed(self, host: str, number: str, now: float) -> float:
        """Wrong credentials came. Returns for how many seconds that locks the number out here; mostly 0."""
        key = (source_of(host), number)
        failures = self._failures.get(key)
        if failures is None:
            self._make_room(now)
            failures = self._failures[key] = _Failures(now)
        elif now - failures.since > FAILURE_SPAN_S:
            failures.since, failures.count = now, 0
        failures.count += 1
        if failures.count < MOST_FAILURES:
            return 0.0
        length_s = min(SHORTEST_LOCKOUT_S * (1 << failures.lockouts), LONGEST_LOCKOUT_S)
        failures.count = 0
        failures.lockouts = min(failures.lockouts + 1, 10)
        failures.since = failures.locked_until = now + length_s
        return length_s

    def is_silenced(self, host: str, now: float, *, has_credentials: bool) -> bool:
        """Tell whether a source looked for so many numbers that a request from there is not answered."""
        if not self._searches:
            return False
        search = self._searches.get(source_of(host))
        if search is None:
            return False
        return now < search.silent_until or (not has_credentials and now < search.unheard_until)

    def asked_for(self, host: str, number: str, now: float) -> bool:
        """A request without credentials came for a number. Returns True when that is too much from now on."""
        if self.is_trusted(host, now):  # people behind it do dial wrong numbers
            return False
        search = self._search(host, now)
        search.asked_for |= _bit_of(number)
        if search.asked_for.bit_count() < MOST_ASKED_FOR:
            return False
        search.asked_for = 0
        search.unheard_until = now + SILENCE_S
        return True

    def guessed_at(self, host: str, number: str, now: float) -> bool:
        """Wrong credentials came for a number. Returns True when that is too much from now on."""
        if self.is_trusted(host, now):
            return False
        search = self._search(host, now)
        search.guessed_at |= _bit_of(number)
        if search.guessed_at.bit_count() < MOST_GUESSED_AT:
            return False
        search.guessed_at = 0
        search.silent_until = now + SILENCE_S
        return True

    def is_first_sight(self, host: str, now: float) -> bool:
        """Tell whether a tool of attackers was seen here for the first time in a while, to log it once."""
        search = self._search(host, now)
        if now < search.noted_until:
            return False
        search.noted_until = now + SILENCE_S
        return True

    def _search(self, host: str, now: float) -> _Search:
        """Return what is known of a source's search, without what is long ago."""
        host = source_of(host)
        search = self._searches.get(host)
        if search is None:
            self._make_room(now)
            search = self._searches[host] = _Search(now)
        elif now - search.since > SEARCH_SPAN_S:
            search.since, search.asked_for, search.guessed_at = now, 0, 0
        return search

    def _make_room(self, now: float) -> None:
        """Let go of what is over; in a flood from very many addresses, of everything."""
        if len(self._failures) + len(self._searches) < self._capacity:
            return
        self._failures = {key: one for key, one in self._failures.items() if not one.is_over(now)}
        self._searches = {host: one for host, one in self._searches.items() if not one.is_over(now)}
        if len(self._failures) + len(self._searches) >= self._capacity:
            self._failures.clear()
            self._searches.clear()
