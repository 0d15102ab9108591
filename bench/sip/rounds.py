"""The measurements on running servers: cost per call, highest rate, cost against the number of phones."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.sip.load import Phones
from bench.sip.processes import cpu_of_each_s, cpu_s, memory_kb
from bench.sip.servers import Server

StartServer = Callable[[Path, int], AbstractContextManager[Server]]
"""Starts a server fresh in a directory, with so many accounts."""

_WARMING_CALLS = 200
_REGISTRATIONS_PER_S = 500
_MOST_REFRESHING = 5_000  # of very many phones: each is one call of SIPp all the time
_QUIET_CPU_S = 0.003  # a second
_QUIET_TIMEOUT_S = 10
# For so long the transactions of registrations stay (64*T1). Their end is no cost of the calls meanwhile.
_LINGERING_S = 33.0
# Records come in groups; when none has come for so long, none will.
_SETTLE_S = 5.0


@dataclass(slots=True)
class CallCosts:
    """What calls at one rate cost a server, a value for each round: CPU milliseconds a call, set-up times."""

    switch_ms: list[float] = field(default_factory=list)
    billing_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass(slots=True)
class Costs:
    """What rounds of one server measured: registrations (CPU milliseconds each), and calls by their rate.

    A refresh is a REGISTER with a nonce that the phone knows: one message, one answer.
    """

    registration_ms: list[float] = field(default_factory=list)
    refresh_ms: list[float] = field(default_factory=list)
    calls_at: dict[int, CallCosts] = field(default_factory=dict)
    memory_kb: int = 0
    failed: int = 0
    records: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Sustained:
    """The highest rate that a server kept up without a failed call, and what happened at the next."""

    calls_per_s: int
    seconds: int
    failed_at: int | None
    failed: int
    records_missing: int


@contextlib.contextmanager
def registered(
    start: StartServer, directory: Path, phones: int, costs: Costs
) -> Iterator[tuple[Server, Phones]]:
    """A server with all its phones registered, ready to answer, and warm."""
    with start(directory, phones) as server, contextlib.ExitStack() as stack:
        clients = Phones(phones, directory)
        _register(server, clients, costs, phones)
        _refresh(server, clients, costs)
        stack.enter_context(clients.answering())
        # The first calls warm caches, pools and the interpreter; they are not counted.
        costs.failed += clients.call(server.port, count=_WARMING_CALLS, rate=100).failed
        costs.calls += _WARMING_CALLS
        yield server, clients


def _register(server: Server, clients: Phones, costs: Costs, phones: int) -> None:
    """Let so many phones register, and measure it."""
    switch = list(server.switch)
    _wait_until_quiet(server)
    before = cpu_s(switch)
    costs.failed += clients.register(server.port, count=phones, rate=_REGISTRATIONS_PER_S).failed
    costs.registration_ms.append((cpu_s(switch) - before) * 1000 / phones)


def _refresh(server: Server, clients: Phones, costs: Costs) -> None:
    """Let phones refresh their registrations, and measure it."""
    switch = list(server.switch)
    counted: list[float] = []
    refreshing = min(clients.count, _MOST_REFRESHING)
    costs.failed += clients.refresh(
        server.port,
        count=refreshing,
        rate=_REGISTRATIONS_PER_S,
        between=lambda: counted.append(cpu_s(switch)),
    ).failed
    costs.refresh_ms.append((cpu_s(switch) - counted[0]) * 1000 / refreshing)


def _wait_until_quiet(server: Server) -> None:
    """Wait till a server that has just started has nothing left to do: that is no cost of a registration."""
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    is_quiet = False
    while not is_quiet and time.monotonic() < deadline:
        before = cpu_s(list(server.switch))
        time.sleep(1)
        is_quiet = cpu_s(list(server.switch)) - before < _QUIET_CPU_S


def one_round(
    start: StartServer, directory: Path, costs: Costs, *, phones: int, rates: Sequence[int], seconds: int
) -> None:
    """Measure on a fresh server what registrations cost, then calls at each rate (lowest first).

    A rate at which calls fail ends the round: what lingers of them would be counted with the next.
    """
    made_before = costs.calls
    with registered(start, directory, phones, costs) as (server, clients):
        for rate in rates:
            at_rate = costs.calls_at.setdefault(rate, CallCosts())
            failed = _calls(server, clients, at_rate, count=rate * seconds, rate=rate)
            costs.calls += rate * seconds - failed
            if failed:
                break
        costs.memory_kb = memory_kb(list(server.switch))
        costs.records += _settled_records(server, costs.calls - made_before)


def growing_round(
    start: StartServer, directory: Path, by_phones: Mapping[int, Costs], *, rate: int, seconds: int
) -> None:
    """Measure calls at one rate on one server, while more and more phones are registered there.

    On one, because from one start of a server to the next a call's cost differs by more than what is looked
    for. The calls go through all phones that are registered.
    """
    most = max(by_phones)
    with start(directory, most) as server:
        clients = Phones(most, directory)
        with clients.answering():
            registered = made = 0
            for phones, costs in sorted(by_phones.items()):
                clients.take_part(range(registered, phones), already=registered)
                _register(server, clients, costs, phones - registered)
                registered = phones
                time.sleep(_LINGERING_S)
                costs.failed += clients.call(server.port, count=_WARMING_CALLS, rate=100).failed
                at_rate = costs.calls_at.setdefault(rate, CallCosts())
                failed = _calls(server, clients, at_rate, count=rate * seconds, rate=rate)
                made += _WARMING_CALLS + rate * seconds - failed
                costs.memory_kb = memory_kb(list(server.switch))
            costs.calls += made
            costs.records += _settled_records(server, made)


def _calls(server: Server, clients: Phones, costs: CallCosts, *, count: int, rate: int) -> int:
    """Make calls at one rate and measure them; return how many failed."""
    groups = (server.switch, server.billing, server.database_pids())
    counted = [cpu_of_each_s(list(group)) for group in groups]
    outcome = clients.call(server.port, count=count, rate=rate)
    for values, was in zip((costs.switch_ms, costs.billing_ms, costs.database_ms), counted, strict=True):
        spent_s = sum(now - was[pid] for pid, now in cpu_of_each_s(list(was)).items())
        values.append(spent_s * 1000 / count)
    costs.p50_ms.append(outcome.setup_percentile_ms(50))
    costs.p99_ms.append(outcome.setup_percentile_ms(99))
    costs.failed += outcome.failed
    return outcome.failed


def highest_rate(
    start: StartServer, directory: Path, *, phones: int, rates: list[int], seconds: int
) -> Sustained:
    """Raise the rate step by step until a call fails."""
    costs = Costs()
    sustained = 0
    made = _WARMING_CALLS
    with registered(start, directory, phones, costs) as (server, clients):
        for rate in rates:
            outcome = clients.call(server.port, count=rate * seconds, rate=rate)
            made += outcome.successful
            # SIPp itself may be the one that can't keep up: then the rate was not reached.
            if outcome.failed or outcome.seconds > seconds * 1.2 + 2:
                missing = _missing(server, made)
                return Sustained(sustained, seconds, rate, outcome.failed, missing)
            sustained = rate
        return Sustained(sustained, seconds, None, 0, _missing(server, made))


def _missing(server: Server, made: int) -> int:
    return made - _settled_records(server, made) if server.keeps_records else 0


def _settled_records(server: Server, expected: int) -> int:
    """How many calls are stored and priced, once all are or no more come."""
    if not server.keeps_records:
        return 0
    records = server.records()
    changed_at = time.monotonic()
    while records < expected and time.monotonic() < changed_at + _SETTLE_S:
        time.sleep(0.5)
        if server.records() > records:
            records = server.records()
            changed_at = time.monotonic()
    return records
