"""Many phones and many calls at once, on one running process.

    python -m bench.sip.crowd [--phones 50000] [--calls 5000]

The exchange runs as in production: registrations and answered calls go through its journal. Memory is the
process's own (proportional set size), so what the interpreter, the allocator and the lingering transactions
take is in it.
"""

import argparse
import re
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.sip.load import Outcome, Phones
from bench.sip.processes import memory_kb
from bench.sip.servers import Server, tollbell

_REGISTRATIONS_PER_S = 500
_CALLS_PER_S = 100
# Transactions linger for 32 s (64*T1): every call outlasts those of all the others.
_LINGERING_S = 40
_RECORDS_TIMEOUT_S = 90


@dataclass(frozen=True, slots=True)
class Crowd:
    """What the process said and took. Bytes are of the whole process, in proportion."""

    phones: int
    calls: int
    registered: int
    live_at_once: int
    failed: int
    records: int
    bytes_per_binding: float
    bytes_per_live_call: float


def measure(phones: int, calls: int) -> Crowd:
    """Register so many phones, then let so many calls be talked on at once, then see their records."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-sip-") as directory,
        tollbell(Path(directory), accounts=phones) as server,
    ):
        clients = Phones(phones, Path(directory))
        empty = _memory(server)
        failed = clients.register(server.port, count=phones, rate=_REGISTRATIONS_PER_S).failed
        registered, with_phones = _metric(server, "registrations"), _memory(server)
        with clients.answering():
            live, with_calls, outcome = _talk(server, clients, calls)
        failed += outcome.failed
        return Crowd(
            phones=phones,
            calls=calls,
            registered=registered,
            live_at_once=live,
            failed=failed,
            records=_records(server, calls),
            bytes_per_binding=(with_phones - empty) / phones,
            bytes_per_live_call=(with_calls - with_phones) / calls,
        )


def _talk(server: Server, clients: Phones, calls: int) -> tuple[int, int, Outcome]:
    """Make the calls; return how many were live at once, the memory then, and how they went."""
    outcomes: list[Outcome] = []
    hold_ms = 1000 * (calls // _CALLS_PER_S + _LINGERING_S)

    def make_calls() -> None:
        outcomes.append(clients.call(server.port, count=calls, rate=_CALLS_PER_S, hold_ms=hold_ms))

    caller = threading.Thread(target=make_calls)
    caller.start()
    most_live = most_memory = 0
    while caller.is_alive():
        most_live = max(most_live, _metric(server, "live_calls"))
        most_memory = max(most_memory, _memory(server))
        time.sleep(1)
    caller.join()
    return most_live, most_memory, outcomes[0]


def _records(server: Server, expected: int) -> int:
    deadline = time.monotonic() + _RECORDS_TIMEOUT_S
    while server.records() < expected and time.monotonic() < deadline:
        time.sleep(0.5)
    return server.records()


def _memory(server: Server) -> int:
    return memory_kb(list(server.switch)) * 1024


def _metric(server: Server, name: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.control_port}/metrics", timeout=30) as answer:
        found = re.search(rf"^tollbell_{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found, f"there is no metric tollbell_{name}"
    return int(float(found[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=50_000)
    parser.add_argument("--calls", type=int, default=5_000)
    arguments = parser.parse_args()
    print(measure(arguments.phones, arguments.calls))


if __name__ == "__main__":
    main()
