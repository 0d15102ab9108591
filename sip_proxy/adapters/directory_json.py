"""The directory as JSON: what billing sends (`docs/api/internal.md`), and the copy on disk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sip_proxy.core.directory import (
    Account,
    AccountState,
    Directory,
    ExchangeSettings,
    FilterAction,
    FilterRule,
)

_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_SHA_256 = re.compile(r"[0-9a-f]{64}\Z")
_NOBODY: frozenset[str] = frozenset()
"""The block list of nearly every account: Python has no single empty set, and each takes 216 bytes."""


class UnusableDirectory(Exception):
    """A directory that can't be taken; the text says what is wrong with it."""


class ForeignRealm(UnusableDirectory):
    """A directory for another domain: its password hashes can't be right for ours."""


@dataclass(frozen=True, slots=True)
class DirectoryUpdate:
    """One answer of the feed: the whole directory, or what changed in it."""

    version: int
    is_full: bool
    settings: ExchangeSettings
    accounts: tuple[Account, ...]
    removed: tuple[str, ...]

    def apply_to(self, directory: Directory) -> Directory:
        """Return the directory after this update; changes are made in place, a whole one is a new object."""
        if self.is_full:
            directory = Directory()
        directory.accounts.update({account.number: account for account in self.accounts})
        for number in self.removed:
            directory.accounts.pop(number, None)
        directory.settings = self.settings
        directory.version = self.version
        return directory


def parse_update(document: object, *, realm: str) -> DirectoryUpdate:
    """Read an answer of the feed.

    Raises:
        ForeignRealm: it is for another realm than this.
        UnusableDirectory: it is not what the contract says.
    """
    match document:
        case {
            "version": int(version),
            "full": bool(is_full),
            "realm": str(its_realm),
            "settings": {**settings},
            "accounts": [*accounts],
            "removed": [*removed],
        }:
            if its_realm != realm:
                raise ForeignRealm(
                    f"billing's realm is {its_realm!r} and this exchange's domain is {realm!r}; "
                    "set TOLLBELL_SIP_DOMAIN alike for both"
                )
            return DirectoryUpdate(
                version=version,
                is_full=is_full,
                settings=_parse_settings(settings),
                accounts=tuple(map(_parse_account, accounts)),
                removed=tuple(map(str, removed)),
            )
    raise UnusableDirectory("the directory lacks a field or has one of the wrong kind")


def _parse_settings(settings: Mapping[object, object]) -> ExchangeSettings:
    # A copy on disk, or billing of an earlier version, doesn't have all of them.
    match {"phone_test_interval_s": 0, **settings}:
        case {
            "concurrent_call_limit": int() | None as limit,
            "emergency_numbers": [*emergency_numbers],
            "ring_time_s": int(ring_time_s),
            "phone_test_interval_s": int(phone_test_interval_s),
        } if ring_time_s > 0 and phone_test_interval_s >= 0 and not isinstance(limit, bool):
            return ExchangeSettings(
                concurrent_call_limit=limit,
                emergency_numbers=frozenset(map(str, emergency_numbers)),
                ring_time_s=ring_time_s,
                phone_test_interval_s=phone_test_interval_s,
            )
    raise UnusableDirectory("the directory's settings lack a field or have one of the wrong kind")


def _parse_account(document: object) -> Account:
    match document:
        case {
            "number": str(number),
            "state": str(state),
            "display_name": str(display_name),
            "ha1_md5": str(ha1_md5),
            "ha1_sha256": str(ha1_sha256),
            "call_limit": int() | None as call_limit,
            "outgoing_filter": [*outgoing_filter],
            "incoming_filter": [*incoming_filter],
            "block_list": [*block_list],
        } if number and _MD5.match(ha1_md5) and _SHA_256.match(ha1_sha256):
            try:
                return Account(
                    number=number,
                    state=AccountState(state),
                    display_name=display_name,
                    ha1_md5=ha1_md5,
                    ha1_sha256=ha1_sha256,
                    call_limit=call_limit,
                    outgoing_filter=tuple(map(_parse_rule, outgoing_filter)),
                    incoming_filter=tuple(map(_parse_rule, incoming_filter)),
                    block_list=frozenset(map(str, block_list)) if block_list else _NOBODY,
                )
            except ValueError as error:
                raise UnusableDirectory(f"account {number}: {error}") from None
        case {"number": str(number)}:
            raise UnusableDirectory(f"account {number} lacks a field or has one of the wrong kind")
    raise UnusableDirectory("an account without a number")


def _parse_rule(document: object) -> FilterRule:
    match document:
        case {"pattern": str(pattern), "action": str(action)}:
            return FilterRule(pattern, FilterAction(action))
    raise ValueError("a filter rule lacks its pattern or action")


def directory_document(directory: Directory, *, realm: str) -> dict[str, object]:
    """Write a whole directory in the form of the feed, so that one parser reads both."""
    settings = directory.settings
    return {
        "version": directory.version,
        "full": True,
        "realm": realm,
        "settings": {
            "concurrent_call_limit": settings.concurrent_call_limit,
            "emergency_numbers": sorted(settings.emergency_numbers),
            "ring_time_s": settings.ring_time_s,
            "phone_test_interval_s": settings.phone_test_interval_s,
        },
        "accounts": [_account_document(account) for account in directory.accounts.values()],
        "removed": [],
    }


def _account_document(account: Account) -> dict[str, object]:
    return {
        "number": account.number,
        "state": account.state.value,
        "display_name": account.display_name,
        "ha1_md5": account.ha1_md5,
        "ha1_sha256": account.ha1_sha256,
        "call_limit": account.call_limit,
        "outgoing_filter": [_rule_document(rule) for rule in account.outgoing_filter],
        "incoming_filter": [_rule_document(rule) for rule in account.incoming_filter],
        "block_list": sorted(account.block_list),
    }


def _rule_document(rule: FilterRule) -> dict[str, str]:
    return {"pattern": rule.pattern, "action": rule.action.value}
