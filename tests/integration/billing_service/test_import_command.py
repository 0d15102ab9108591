"""`python -m billing_service import-calls` as an operator runs it, and as the machine kills it."""

import csv
import gzip
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select, text

from billing_service.storage.tables import Call
from billing_service.storage.unit_of_work import Database
from tests.support.billing import Billing
from tests.support.billing_process import ROOT, eventually
from tests.support.call_files import asterisk_line, set_default_plan
from tests.support.environment import clean_environment

EVENING = datetime(2026, 2, 27, 21, 57, 13, tzinfo=UTC)


class Command:
    """Runs the command on a database."""

    def __init__(self, url: URL, var: Path) -> None:
        own = clean_environment()
        self._environment = {
            **own,
            "TOLLBELL_VAR": str(var),
            "TOLLBELL_DATABASE_URL": url.render_as_string(hide_password=False),
        }

    def start(self, *arguments: str | Path, peak: bool = False) -> "subprocess.Popen[str]":
        """Start it; with `peak` it ends by saying the most memory that one of its processes had, in kB."""
        code = (
            "import sys, resource\n"
            "from billing_service.__main__ import main\n"
            "status = main(sys.argv[1:])\n"
            "peaks = [resource.getrusage(whose).ru_maxrss for whose in"
            " (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
            "print(max(peaks), file=sys.stderr)\n"
            "sys.exit(status)\n"
        )
        program = ["-c", code] if peak else ["-m", "billing_service"]
        return subprocess.Popen(
            [sys.executable, *program, "import-calls", *map(str, arguments)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, peak: bool = False) -> tuple[int, str, str]:
        """Run it to its end: status, standard output, standard error."""
        process = self.start(*arguments, peak=peak)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err


@pytest.fixture
def command(database_url: URL, tmp_path: Path) -> Command:
    return Command(database_url, tmp_path)


def write_calls(path: Path, count: int) -> Path:
    """A `Master.csv` of calls by twenty numbers."""
    with path.open("w") as file:
        for number in range(count):
            at = EVENING + timedelta(seconds=number)
            file.write(asterisk_line(f"99{number % 20:02d}", "9992", at, 60, number=number))
    return path


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stored(database: Database) -> int:
    return database.run_blocking(
        lambda session: session.scalars(select(func.count()).select_from(Call)).one()
    )


async def test_the_summary_and_the_rejects(billing: Billing, command: Command, tmp_path: Path) -> None:
    await set_default_plan(billing)
    path = tmp_path / "Master.csv.gz"
    lines = asterisk_line("9991", "9992", EVENING, 823) + "garbage\n"
    path.write_bytes(gzip.compress(lines.encode()))

    status, out, err = command.run(path)

    assert status == 0, err
    assert out.splitlines() == [
        "stored: 1",
        "already had: 0",
        f"rejected: 1 (see {path}.rejects.csv)",
        "unassigned: 1",
        "without price: 0",
        "total price: 0.54 USD",
    ]
    assert "garbage" in (tmp_path / "Master.csv.gz.rejects.csv").read_text()
    assert "%" not in err, "no progress bar where nobody looks"
    assert command.run(path, "--format", "asterisk", "--timezone", "UTC")[1].splitlines()[:2] == [
        "stored: 0",
        "already had: 1",
    ]


async def test_a_dry_run_says_so(billing: Billing, command: Command, tmp_path: Path) -> None:
    await set_default_plan(billing)
    status, out, _ = command.run(write_calls(tmp_path / "Master.csv", 3), "--dry-run")
    assert status == 0
    assert out.splitlines()[:2] == ["Nothing was stored; this would come of it:", "stored: 3"]
    assert stored(billing.database) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["missing.csv"], 1, "missing.csv can't be imported: No such file or directory"),
        (["."], 1, "can't be imported: Is a directory"),
        (["pyproject.toml"], 1, "the format of the file is not recognised"),
        (["x.csv", "--timezone", "Mars/Olympus"], 2, "is no IANA time zone"),
        (["x.csv", "--format", "excel"], 2, "invalid choice"),
    ],
)
def test_what_cannot_be_imported_is_told_in_a_line(
    command: Command, tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    name, *options = arguments
    path = tmp_path / name
    if name == "pyproject.toml":
        path.write_text("[project]\n")
    found, _, err = command.run(path, *options)
    assert found == status
    assert says in err
    assert "Traceback" not in err


async def test_an_import_that_breaks_down_is_noted_as_failed(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    path = write_calls(tmp_path / "Master.csv", 3)
    billing.database.run_blocking(
        lambda session: session.execute(
            text("ALTER TABLE call_imports ADD CONSTRAINT refused CHECK (format <> 'asterisk')")
        )
    )
    try:
        status, _, _ = command.run(path)
    finally:
        billing.database.run_blocking(
            lambda session: session.execute(text("ALTER TABLE call_imports DROP CONSTRAINT refused"))
        )
    assert status != 0
    run = (await billing.get("/v1/imports")).body["items"][0]
    assert (run["state"], run["problem"]) == ("failed", "the import broke down (IntegrityError)")


async def test_killed_in_the_middle_it_goes_on_and_stores_each_call_once(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    await set_default_plan(billing)
    path = write_calls(tmp_path / "Master.csv", 16_000)
    process = command.start(path)
    eventually(lambda: bool(children_of(process.pid)), "there are workers")
    eventually(lambda: stored(billing.database) > 0, "something is stored")
    workers = children_of(process.pid)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: not any(map(is_running, workers)), "the workers have ended, too")
    before = stored(billing.database)

    status, out, err = command.run(path)

    assert status == 0, err
    counts = dict(line.split(": ") for line in out.splitlines())
    assert int(counts["already had"]) >= before
    assert int(counts["stored"]) + int(counts["already had"]) == 16_000
    assert stored(billing.database) == 16_000
    assert counts["rejected"] == "0"


async def test_a_worker_that_is_killed_is_told_and_what_it_was_at_is_stored_the_next_time(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    await set_default_plan(billing)
    path = write_calls(tmp_path / "Master.csv", 12_000)
    process = command.start(path)
    eventually(lambda: bool(children_of(process.pid)), "there are workers")
    workers = children_of(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a process of the import was killed" in err
    before = stored(billing.database)
    assert before < 12_000

    _, out, _ = command.run(path)

    counts = dict(line.split(": ") for line in out.splitlines())
    assert (int(counts["already had"]), int(counts["stored"])) == (before, 12_000 - before)
    assert stored(billing.database) == 12_000


async def test_rejects_of_many_blocks_are_in_the_order_of_the_file(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    await set_default_plan(billing)
    path = write_calls(tmp_path / "Master.csv", 12_000)
    lines = path.read_text().splitlines()
    garbage = range(100, 12_000, 1_000)
    for place in garbage:
        lines[place] = f"garbage {place}"
    path.write_text("\n".join(lines))

    status, out, err = command.run(path)

    assert status == 0, err
    counts = dict(line.split(": ") for line in out.splitlines())
    assert (counts["stored"], counts["rejected"].split()[0]) == (
        str(12_000 - len(garbage)),
        str(len(garbage)),
    )
    with Path(f"{path}.rejects.csv").open(newline="") as file:
        assert [int(row["line"]) for row in csv.DictReader(file)] == [place + 1 for place in garbage]


async def test_told_to_stop_it_finishes_what_it_is_doing(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    await set_default_plan(billing)
    process = command.start(write_calls(tmp_path / "Master.csv", 16_000))
    eventually(lambda: stored(billing.database) > 0, "something is stored")
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the same command goes on where it was" in err


async def test_ten_times_the_lines_take_no_more_memory(
    billing: Billing, command: Command, tmp_path: Path
) -> None:
    await set_default_plan(billing)
    peaks_kb = []
    for count in (4_000, 40_000):
        # A dry run does all that another does, and undoes each block: the database stays small.
        status, out, err = command.run(write_calls(tmp_path / f"{count}.csv", count), "--dry-run", peak=True)
        assert status == 0, err
        assert f"stored: {count}" in out
        peaks_kb.append(int(err.split()[-1]))
    assert peaks_kb[1] < peaks_kb[0] * 1.15, peaks_kb
