"""`make bench-billing`: rating, intake, closing and reading, beside plain SQL; writes `docs/benchmarks.md`.

The default takes a few minutes and is small. `--full` closes 10,000 and 100,000 accounts with 20 calls each
and reads while 5,000,000 calls are stored.
"""

import argparse
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.billing.closing import Closed, close_a_month
from bench.billing.intake import take_in
from bench.billing.messages import take_events
from bench.billing.rating import rate
from bench.billing.reading import read

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_BEGIN = "<!-- from here: written by make bench-billing -->"
_END = "<!-- up to here: written by make bench-billing -->"


def main() -> None:
    arguments = _arguments()
    page = _Page(
        f"{_machine()}\n\nCommand: `{' '.join(['python -m bench.billing', *sys.argv[1:]])}`", arguments.dry
    )
    page.add(_rating(1_000_000 if arguments.full else 300_000))
    page.add(_intake(arguments.calls or (500_000 if arguments.full else 50_000)))
    page.add(_events(arguments.events or 1_000))
    sizes = arguments.accounts or ([10_000, 100_000] if arguments.full else [1_000, 5_000])
    page.add(_closing([close_a_month(accounts, 20 * accounts) for accounts in sizes]))
    stored = arguments.stored or (5_000_000 if arguments.full else 300_000)
    page.add(_reading(stored, max(1_000, stored // 50)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all of it; takes an hour or so")
    parser.add_argument("--calls", type=int, help="calls in the file that is imported")
    parser.add_argument("--events", type=int, help="calls that come as events, by each way")
    parser.add_argument("--accounts", type=int, nargs="*", help="how many accounts to close, 20 calls each")
    parser.add_argument("--stored", type=int, help="calls stored while bills and calls are read")
    parser.add_argument("--dry", action="store_true", help="print only; leave docs/benchmarks.md as it is")
    return parser.parse_args()


def _rating(count: int) -> str:
    rated = rate(count)
    return (
        f"### Rating\n\n{rated.calls:,} calls under a plan with windows and a dozen tariffs, one process.\n\n"
        "| rater | calls/s | aim |\n|---|---|---|\n"
        f"| compiled, one at a time | {rated.one_at_a_time:,.0f} | 150,000 |\n"
        f"| compiled, vectorised | {rated.vectorised:,.0f} | 1,000,000 |"
    )


def _intake(count: int) -> str:
    taken = take_in(count)
    return (
        f"### From a file to stored calls\n\n{taken.calls:,} calls of a month.\n\n"
        "| way | calls/s | of the bare COPY | aim |\n|---|---|---|---|\n"
        f"| bare COPY of the priced rows into `calls` | {taken.calls / taken.copy_s:,.0f} | 1 | – |\n"
        f"| `import-calls` (read, checked, priced, stored once), start of the program included "
        f"| {taken.calls / taken.import_s:,.0f} | {taken.copy_s / taken.import_s:.2f} | 0.5 |\n\n"
        f"No process of the importing program took more than {taken.import_peak_bytes / 2**20:.0f} MB."
    )


def _events(count: int) -> str:
    lines = [
        "| way | billing, ms | PostgreSQL, ms | RabbitMQ, ms | calls/s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {cost.way} | {cost.billing_ms:.2f} | {cost.postgres_ms:.2f} | {cost.broker_ms:.2f} "
        f"| {cost.calls_per_s:,.0f} |"
        for cost in take_events(count)
    ]
    head = f"{count:,} calls by each way, a start and an end event each; CPU time for a call."
    return f"### From events to stored calls\n\n{head}\n\n" + "\n".join(lines)


def _closing(months: list[Closed]) -> str:
    lines = [
        "| accounts | calls | aggregate + insert, s | same outcome in SQL, s | product, s | its start, s "
        "| product / aggregate (aim 3) | product / same outcome | ms an account | memory of a process, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {month.accounts:,} | {month.calls:,} | {month.aggregate_s:.2f} | {month.same_outcome_s:.2f} "
        f"| {month.product_s:.2f} | {month.start_s:.2f} | {month.product_s / month.aggregate_s:.1f} "
        f"| {month.product_s / month.same_outcome_s:.2f} | {1000 * month.product_s / month.accounts:.2f} "
        f"| {month.one_worker_peak_bytes / 2**20:.0f} |"
        for month in months
    ]
    return "### Closing a month\n\n" + "\n".join(lines)


def _reading(calls: int, accounts: int) -> str:
    lines = ["| request | median, ms | p99, ms | aim |", "|---|---|---|---|"]
    lines += [
        f"| {latency.what} | {latency.median_ms:.1f} | {latency.p99_ms:.1f} | 50 |"
        for latency in read(calls, accounts)
    ]
    return f"### Reading\n\n{calls:,} calls of ten months stored, {accounts:,} accounts.\n\n" + "\n".join(
        lines
    )


def _machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{datetime.now(UTC).date()}, {os.cpu_count()} CPUs ({cpu[1] if cpu else platform.machine()}), "
        f"Linux {platform.release()}, Python {platform.python_version()}. "
        f"Load average at the start: {os.getloadavg()[0]:.1f}."
    )


class _Page:
    """The results, kept after every section: a run that is cut short leaves something."""

    def __init__(self, head: str, is_dry: bool) -> None:
        self._text = head
        self._is_dry = is_dry

    def add(self, section: str) -> None:
        """Print a section, and keep all there is."""
        print(section, end="\n\n", flush=True)
        self._text += f"\n\n{section}"
        if not self._is_dry:
            text = DOCUMENT.read_text()
            before, _, rest = text.partition(_BEGIN)
            _, _, after = rest.partition(_END)
            DOCUMENT.write_text(f"{before}{_BEGIN}\n\n{self._text}\n\n{_END}{after}")


if __name__ == "__main__":
    main()
