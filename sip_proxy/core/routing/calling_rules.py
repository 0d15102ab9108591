"""May this account call that number now? The order of the checks is part of the product."""

from typing import Final

from sip_proxy.core.directory import Account, AccountState, Directory, is_allowed
from sip_proxy.core.rejection import Cause, Rejection

# While the journal can't be written: better refused than not billed.
NOT_ACCOUNTED_FOR: Final = Rejection(503, "The exchange can't account for calls now", Cause.TEMPORARY_FAILURE)
# Many phones obey any REFER, and who calls pays: only who is in a call with a phone may transfer it.
REFER_OUTSIDE_OF_CALL: Final = Rejection(403, "Only a phone in an answered call can be transferred")

_ACTIVE: Final = AccountState.ACTIVE
_REFUSED_CALLERS: Final = {
    AccountState.SUSPENDED: Rejection(403, "Your account is suspended", Cause.CALL_REJECTED),
    AccountState.CLOSED: Rejection(403, "Your account is closed", Cause.CALL_REJECTED),
}


class Load:
    """How busy the exchange is. A request that starts no call is not counted against any limit.

    The calls of a number are those it made and those it got. Calls to emergency numbers are in none of
    these.
    """

    __slots__ = (
        "is_online", "journal_available", "live_calls", "live_calls_of_callee", "live_calls_of_caller",
    )  # fmt: skip

    def __init__(
        self,
        is_online: bool,
        journal_available: bool,
        live_calls: int,
        live_calls_of_caller: int,
        live_calls_of_callee: int,
    ) -> None:
        self.is_online = is_online
        self.journal_available = journal_available
        self.live_calls = live_calls
        self.live_calls_of_caller = live_calls_of_caller
        self.live_calls_of_callee = live_calls_of_callee


def judge_call(
    directory: Directory, *, caller: Account, callee_number: str, load: Load | None
) -> Rejection | None:
    """Return why the call is refused, or None. `load` is None for requests that start no call.

    The caller is authenticated already. Emergency numbers skip every check here.
    """
    if directory.is_emergency(callee_number):
        return None
    return (
        (_check_exchange(directory, load) if load is not None else None)
        or _check_caller(caller, callee_number)
        or (_check_call_limit(caller, load) if load is not None else None)
        or _check_callee(directory, caller, callee_number, load)
    )


def _check_exchange(directory: Directory, load: Load) -> Rejection | None:
    if not load.is_online:
        return Rejection(503, "The exchange is offline", Cause.TEMPORARY_FAILURE)
    if not load.journal_available:
        return NOT_ACCOUNTED_FOR
    limit = directory.settings.concurrent_call_limit
    if limit is not None and load.live_calls >= limit:
        return Rejection(503, "The exchange is full", Cause.RESOURCE_UNAVAILABLE)
    return None


def _check_caller(caller: Account, callee_number: str) -> Rejection | None:
    refused = None if caller.state is _ACTIVE else _REFUSED_CALLERS.get(caller.state)
    if refused is not None:
        return refused
    if not is_allowed(caller.outgoing_filter, callee_number):
        return Rejection(403, "Your account may not call this number", Cause.OUTGOING_CALLS_BARRED)
    return None


def _check_call_limit(caller: Account, load: Load) -> Rejection | None:
    if caller.call_limit is not None and load.live_calls_of_caller >= caller.call_limit:
        return Rejection(403, "Your account has too many calls already", Cause.CALL_REJECTED)
    return None


def _check_callee(
    directory: Directory, caller: Account, callee_number: str, load: Load | None
) -> Rejection | None:
    callee = directory.find(callee_number)
    if callee is None:
        return Rejection(404, "There is no such number", Cause.UNALLOCATED_NUMBER)
    if callee.state is not _ACTIVE:
        return Rejection(480, "This number is out of service", Cause.DESTINATION_OUT_OF_ORDER)
    if caller.number in callee.block_list or not is_allowed(callee.incoming_filter, caller.number):
        # The caller should hear busy, and not learn who blocks whom.
        return Rejection(486, "Busy Here", Cause.USER_BUSY)
    if load is not None and callee.call_limit is not None and load.live_calls_of_callee >= callee.call_limit:
        return Rejection(486, "This number has as many calls as it may", Cause.USER_BUSY)
    return None
