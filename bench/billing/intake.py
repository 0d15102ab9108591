"""From a file to priced, stored calls, beside a bare COPY of the same rows into the same table."""

import csv
import random
from dataclasses import dataclass
from datetime import timedelta

from bench.billing.population import MONTH, add_accounts
from bench.billing.server import running_server
from billing_service.call_files.own_csv import COLUMNS

_ACCOUNTS = 1000


@dataclass(frozen=True)
class TakenIn:
    """How long an import took, from the start of the program to its end, and the bare COPY (seconds)."""

    calls: int
    import_s: float
    copy_s: float
    import_peak_bytes: int


def take_in(count: int) -> TakenIn:
    """Import a file of calls of a month, then copy the same rows, priced, into the emptied table."""
    with running_server() as server:
        add_accounts(server, _ACCOUNTS)
        file = server.var / "calls.csv"
        _write(str(file), count)
        server.analyse()
        finished = server.run("import-calls", str(file))
        stored, priced = server.sql("SELECT count(*), count(price) FROM calls")[0]
        assert stored == priced == count, f"{stored} stored, {priced} priced:\n{finished.output[-2000:]}"
        rows = server.var / "rows"
        server.copy("COPY (SELECT * FROM calls) TO STDOUT", rows, "wb")
        server.sql("TRUNCATE calls, call_record_receipts")
        server.analyse()
        copy_s = server.copy("COPY calls FROM STDIN", rows, "rb")
        return TakenIn(count, finished.seconds, copy_s, finished.peak_bytes)


def _write(path: str, count: int) -> None:
    chance = random.Random(2)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(count):
            at = MONTH + timedelta(microseconds=chance.randrange(30 * 86_400_000_000))
            seconds = 5 + int(chance.expovariate(1 / 180))
            answered = at + timedelta(seconds=4)
            ended = answered + timedelta(seconds=seconds)
            row = {
                "record_id": f"{chance.getrandbits(128):032x}",
                "call_id": f"call-{number}@10.0.0.1",
                "caller": f"{number % _ACCOUNTS + 1:06d}",
                "callee": f"{chance.randrange(10**10):010d}",
                "emergency": "false",
                "invited_at": at.isoformat(),
                "ringing_at": at.isoformat(),
                "answered_at": answered.isoformat(),
                "acknowledged_at": answered.isoformat(),
                "ended_at": ended.isoformat(),
                "duration_us": str(seconds * 1_000_000),
                "outcome": "answered",
                "status": "200",
                "reason": "OK",
                "ended_by": "caller",
            }
            writer.writerow([row[column] for column in COLUMNS])
