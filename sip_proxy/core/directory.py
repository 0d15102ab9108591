"""The directory as the exchange sees it: who may call whom, held whole in memory.

The feed that fills it is described in `docs/api/internal.md`. No call ever waits for a database.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class AccountState(Enum):
    """What a phone account may do. Suspended phones still register and reach emergency numbers."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    OUT_OF_SERVICE = "out_of_service"


class FilterAction(Enum):
    """What a filter rule does with a number that it matches."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class FilterRule:
    """One rule of a filter: `#` in the pattern matches any one digit, a trailing `*` any rest."""

    pattern: str
    action: FilterAction

    def matches(self, number: str) -> bool:
        """Tell whether the rule speaks about this number."""
        pattern = self.pattern
        if pattern.endswith("*"):
            pattern = pattern[:-1]
            number = number[: len(pattern)]
        return len(pattern) == len(number) and all(
            wanted == digit or (wanted == "#" and digit.isdigit())
            for wanted, digit in zip(pattern, number, strict=True)
        )


def is_allowed(rules: Iterable[FilterRule], number: str) -> bool:
    """Apply a filter: the first rule that matches decides; no match allows."""
    for rule in rules:
        if rule.matches(number):
            return rule.action is FilterAction.ALLOW
    return True


@dataclass(frozen=True, slots=True)
class Account:
    """A phone account: its number, its digest hashes (never a password) and its calling rules."""

    number: str
    state: AccountState
    display_name: str
    ha1_md5: str
    ha1_sha256: str
    call_limit: int | None = None
    outgoing_filter: tuple[FilterRule, ...] = ()
    incoming_filter: tuple[FilterRule, ...] = ()
    block_list: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """What an administrator may change at run time.

    Every phone is tested once in `phone_test_interval_s` (0: only when somebody asks for it).
    """

    concurrent_call_limit: int | None = None
    emergency_numbers: frozenset[str] = frozenset({"9911", "4911"})
    ring_time_s: int = 60
    phone_test_interval_s: int = 0


@dataclass(slots=True)
class Directory:
    """All accounts by number, and the exchange settings, at one version of the feed."""

    version: int = 0
    settings: ExchangeSettings = field(default_factory=ExchangeSettings)
    accounts: dict[str, Account] = field(default_factory=dict)

    def find(self, number: str) -> Account | None:
        """Return the account with this number, or None."""
        return self.accounts.get(number)

    def is_emergency(self, number: str) -> bool:
        """Tell whether calls to the number skip every check but authentication."""
        return number in self.settings.emergency_numbers
