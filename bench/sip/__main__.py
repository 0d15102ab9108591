"""`make bench-sip`: Tollbell beside Kamailio, alternating in one run; writes `docs/benchmarks.md`.

The default takes a few minutes. `--full` adds the costs with 10,000 and 50,000 phones, longer steps in the
search for the highest rate, and full-size memory figures.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from bench.sip import crowd, memory, report, servers
from bench.sip.rounds import Costs, StartServer, Sustained, growing_round, highest_rate, one_round
from bench.sip.servers import Server, Work
from sip_proxy.compiled import is_of_these_sources

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_RATE_BY_PHONES = 300
_GENERATED = "<!-- below: written by make bench-sip -->"


def main() -> None:
    arguments = _arguments()
    if not is_of_these_sources():
        sys.exit("There is no compiled core of these sources: make compiled")
    where = report.machine()
    contenders = _contenders()
    page = _Page(f"{where}\n\nCommand: `{' '.join(['python -m bench.sip', *sys.argv[1:]])}`", arguments.dry)
    costs = _measure_costs(contenders, arguments)
    page.add(
        f"### CPU per registration\n\n{arguments.phones:,} phones.\n\n{report.registration_table(costs)}"
    )
    page.add(
        f"### CPU per call\n\n{arguments.rounds} alternating rounds, {arguments.cost_seconds} s a rate; "
        f"median of the rounds (and range).\n\n{report.call_table(costs)}\n\n{report.ratio_table(costs)}\n\n"
        f"{report.records_line(costs)}"
    )
    page.add("### Highest rate\n\n" + report.rate_table(_measure_rates(contenders, arguments)))
    page.add("### Memory\n\n" + report.memory_table(_measure_memory(is_full=arguments.full)))
    if arguments.full:
        by_phones = _measure_by_phones(contenders[servers.TOLLBELL], arguments)
        page.add("### Cost against the number of phones\n\n" + report.phones_table(by_phones))
        _say("50,000 phones, 5,000 calls at once")
        page.add("### Many at once\n\n" + report.crowd_table(crowd.measure(50_000, 5_000)))


class _Page:
    """The page of results, kept after every section: a run that is cut short leaves something."""

    def __init__(self, head: str, is_dry: bool) -> None:
        self._text = head
        self._is_dry = is_dry

    def add(self, section: str) -> None:
        """Print a section, and keep all there is."""
        print(section, end="\n\n", flush=True)
        self._text += f"\n\n{section}"
        if not self._is_dry:
            explained = DOCUMENT.read_text().partition(_GENERATED)[0] if DOCUMENT.exists() else ""
            DOCUMENT.write_text(f"{explained}{_GENERATED}\n\n## Results\n\n{self._text}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=1000, help="registered phones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cost-rates",
        type=int,
        nargs="*",
        default=[100, 300, 800],
        help="calls/s at which costs are measured",
    )
    parser.add_argument("--cost-seconds", type=int, default=10, help="how long each of them is kept")
    parser.add_argument(
        "--rates",
        type=int,
        nargs="*",
        default=[200, 300, 400, 500, 600, 800, 1000, 1200],
        help="calls/s to try for the highest rate",
    )
    parser.add_argument("--seconds", type=int, help="how long each of them is kept (10, with --full 60)")
    parser.add_argument("--full", action="store_true", help="everything; takes about half an hour")
    parser.add_argument("--dry", action="store_true", help="print only; leave docs/benchmarks.md as it is")
    return parser.parse_args()


def _contenders() -> dict[str, StartServer]:
    contenders: dict[str, StartServer] = {}
    if shutil.which("kamailio"):
        contenders = {work.title: partial(_start_kamailio, work) for work in reversed(Work)}
    else:
        print(
            "No Kamailio to compare with: install the Debian packages kamailio and kamailio-postgres-modules."
        )
    contenders[servers.TOLLBELL_INTERPRETED] = partial(_start_tollbell, is_compiled=False)
    contenders[servers.TOLLBELL] = partial(_start_tollbell, is_compiled=True)
    return contenders


def _start_tollbell(directory: Path, accounts: int, *, is_compiled: bool) -> AbstractContextManager[Server]:
    return servers.tollbell(directory, accounts=accounts, is_compiled=is_compiled)


def _start_kamailio(work: Work, directory: Path, accounts: int) -> AbstractContextManager[Server]:
    return servers.kamailio(directory, accounts=accounts, work=work)


def _measure_costs(contenders: dict[str, StartServer], arguments: argparse.Namespace) -> dict[str, Costs]:
    costs = {name: Costs() for name in contenders}
    for number in range(1, arguments.rounds + 1):
        for name, start in contenders.items():
            _say(f"round {number} of {arguments.rounds}: {name}")
            with tempfile.TemporaryDirectory(prefix="bench-sip-") as directory:
                one_round(
                    start,
                    Path(directory),
                    costs[name],
                    phones=arguments.phones,
                    # The one that writes its state fails soon, and takes its time for it.
                    rates=sorted(arguments.cost_rates)[: 1 if name == Work.STATE.title else None],
                    seconds=arguments.cost_seconds,
                )
    return costs


def _measure_rates(contenders: dict[str, StartServer], arguments: argparse.Namespace) -> dict[str, Sustained]:
    rates = {}
    seconds = arguments.seconds or (60 if arguments.full else 10)
    for name, start in contenders.items():
        if name == Work.STATE.title:
            continue  # it fails at a fraction of these rates, and takes its time for it
        _say(f"highest rate: {name}")
        with tempfile.TemporaryDirectory(prefix="bench-sip-") as directory:
            rates[name] = highest_rate(
                start, Path(directory), phones=arguments.phones, rates=arguments.rates, seconds=seconds
            )
    return rates


def _measure_memory(*, is_full: bool) -> memory.Sizes:
    _say("memory")
    return memory.measure(50_000, 5_000) if is_full else memory.measure(5_000, 1_000)


def _measure_by_phones(start: StartServer, arguments: argparse.Namespace) -> dict[int, Costs]:
    """On one server with more and more phones: a difference of a few percent is what is looked for."""
    by_phones = {phones: Costs() for phones in (1_000, 10_000, 50_000)}
    for number in range(1, arguments.rounds + 1):
        _say(f"round {number} of {arguments.rounds}: 1,000 phones, 10,000, 50,000")
        with tempfile.TemporaryDirectory(prefix="bench-sip-") as directory:
            growing_round(
                start,
                Path(directory),
                by_phones,
                rate=_RATE_BY_PHONES,
                seconds=arguments.cost_seconds,
            )
    return by_phones


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
