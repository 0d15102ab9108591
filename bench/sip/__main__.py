"""`make bench-sip`: Tollbell beside Kamailio, alternating in one run; prints a table in Markdown."""

import argparse
import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.sip import servers
from bench.sip.load import Phones
from bench.sip.processes import cpu_s
from bench.sip.servers import Server

StartServer = Callable[[Path], AbstractContextManager[Server]]


@dataclass(slots=True)
class Costs:
    """What rounds of one server measured: CPU milliseconds per unit of work, set-up times, failures."""

    registration_ms: list[float] = field(default_factory=list)
    call_ms: list[float] = field(default_factory=list)
    billing_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    failed: int = 0
    records: int = 0
    calls: int = 0


def main() -> None:
    arguments = _arguments()
    yardsticks: dict[str, StartServer] = {}
    if shutil.which("kamailio"):
        yardsticks = {
            "Kamailio, PostgreSQL accounting": lambda directory: servers.kamailio(
                directory, accounts=arguments.phones, accounting=True
            ),
            "Kamailio, in memory": lambda directory: servers.kamailio(
                directory, accounts=arguments.phones, accounting=False
            ),
        }
    contenders: dict[str, StartServer] = {
        **yardsticks,
        "Tollbell": lambda directory: servers.tollbell(directory, accounts=arguments.phones),
    }
    costs = {name: Costs() for name in contenders}
    for _ in range(arguments.rounds):
        for name, start in contenders.items():
            with tempfile.TemporaryDirectory(prefix="bench-sip-") as directory:
                _one_round(start, Path(directory), arguments, costs[name])
    print(_table(costs, arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=1000, help="registered phones")
    parser.add_argument("--calls", type=int, default=3000, help="calls per round")
    parser.add_argument("--rate", type=int, default=200, help="calls per second")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _one_round(start: StartServer, directory: Path, arguments: argparse.Namespace, costs: Costs) -> None:
    with start(directory) as server, contextlib.ExitStack() as stack:
        phones = Phones(arguments.phones, directory)
        before = cpu_s(list(server.switch))
        registered = phones.register(server.port, count=arguments.phones, rate=500)
        costs.failed += registered.failed
        costs.registration_ms.append((cpu_s(list(server.switch)) - before) * 1000 / arguments.phones)
        stack.enter_context(phones.answering())
        # The first calls warm caches, pools and the interpreter; they are not counted.
        costs.failed += phones.call(server.port, count=200, rate=100).failed
        groups = (server.switch, server.billing, server.database_pids())
        counted = [cpu_s(list(group)) for group in groups]
        outcome = phones.call(server.port, count=arguments.calls, rate=arguments.rate)
        switch, billing, database = (
            (cpu_s(list(group)) - was) * 1000 / arguments.calls
            for group, was in zip(groups, counted, strict=True)
        )
        costs.failed += outcome.failed
        costs.call_ms.append(switch)
        costs.billing_ms.append(billing)
        costs.database_ms.append(database)
        costs.p50_ms.append(outcome.setup_percentile_ms(50))
        costs.p99_ms.append(outcome.setup_percentile_ms(99))
        costs.calls += arguments.calls + 200
        costs.records += server.records()


def _table(costs: dict[str, Costs], arguments: argparse.Namespace) -> str:
    reference = costs.get("Kamailio, PostgreSQL accounting", costs["Tollbell"])
    lines = [
        f"{arguments.phones:,} phones, {arguments.rounds} rounds of {arguments.calls:,} calls at "
        f"{arguments.rate} calls/s, one worker process; CPU milliseconds (median of rounds).",
        "",
        "| server | per registration | per call, switch | ratio | per call, billing | per call, PostgreSQL "
        "| set-up p50 / p99 ms | failed | records / calls |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cost in costs.items():
        call_ms = statistics.median(cost.call_ms)
        ratio = call_ms / statistics.median(reference.call_ms)
        lines.append(
            f"| {name} | {statistics.median(cost.registration_ms):.3f} | {call_ms:.3f} | {ratio:.2f} "
            f"| {statistics.median(cost.billing_ms):.3f} | {statistics.median(cost.database_ms):.3f} "
            f"| {statistics.median(cost.p50_ms):.1f} / {statistics.median(cost.p99_ms):.1f} "
            f"| {cost.failed} | {cost.records} / {cost.calls} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
