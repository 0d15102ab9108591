"""`python -m billing_service import-calls FILE`: a file of calls into the database, with progress."""

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tqdm import tqdm

from billing_service.call_files.lines import UnableToReadFile
from billing_service.call_files.rejects import RejectsFile
from billing_service.domain.money import Money
from billing_service.errors import BillingServiceError
from billing_service.jobs.import_workers import by_workers
from billing_service.settings import Settings
from billing_service.storage.migrations import require_current
from billing_service.storage.patience import wait_for_ever
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.import_block import Import, Stopped
from billing_service.use_cases.import_calls import import_calls
from billing_service.use_cases.import_runs import Counts, NewImport, begin_import, finish_import
from billing_service.use_cases.rate_call import CompiledPlans

# How long the database may be away before the import gives up.
PATIENCE_S = 120.0


def import_file(
    settings: Settings, path: Path, *, name: str | None, file_zone: ZoneInfo, dry_run: bool
) -> None:
    """Import a file, show how far it is, and print what became of its lines.

    Rejected lines go to `FILE.rejects.csv` beside it. Raises UnableToReadFile, DatabaseUnavailable and
    Stopped; what was stored until then stays.
    """
    database = Database.at(settings.database_url, threads=1)
    _do_one_thing_only()
    try:
        # Whoever sits at a terminal decides how long; and COPY takes connections that wait like this.
        wait_for_ever()
        require_current(database.engine)
        try:
            size_bytes = path.stat().st_size
            file = path.open("rb")
            rejects = RejectsFile(path.with_name(f"{path.name}.rejects.csv"))
        except OSError as error:
            raise UnableToReadFile(f"{path} can't be imported: {error.strerror}") from error
        new = NewImport(
            file_name=path.name,
            size_bytes=size_bytes,
            uploaded=False,
            format=name,
            timezone=file_zone.key,
            actor="command line",
        )
        with (
            file,
            _noted(database, None if dry_run else new) as import_id,
            _until_told_to_stop() as stop,
            tqdm(total=size_bytes, unit="B", unit_scale=True, disable=None, file=sys.stderr) as bar,
        ):

            def show(counts: Counts, read_bytes: int) -> None:
                bar.set_postfix(stored=counts.stored, rejected=counts.rejected, refresh=False)
                bar.update(read_bytes - bar.n)

            wish = Import(
                format=name,
                file_zone=file_zone,
                plans=CompiledPlans(),
                currency=settings.currency,
                zone=settings.timezone,
                clock=lambda: datetime.now(UTC),
                reject=rejects.add,
                pause=Patience(stop, PATIENCE_S),
                import_id=import_id,
                dry_run=dry_run,
                on_progress=show,
            )
            try:
                workers = by_workers(settings.database_url, wish)
                counts = import_calls(database, file, wish, take_blocks=workers)
            finally:
                rejects.close()
    finally:
        database.close()
    print_summary(counts, settings, rejects.path, dry_run=dry_run)


def _do_one_thing_only() -> None:
    """Let this process do what it is for: calls make no cycles, which would be looked for all the time."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    # No thread of the progress bar's own beside processes that are made by fork.
    tqdm.monitor_interval = 0


@contextmanager
def _noted(database: Database, new: NewImport | None) -> Iterator[int | None]:
    """Note the run and how it ends. A run that is killed stays noted as running."""
    if new is None:
        yield None
        return
    import_id = database.run_blocking(lambda session: begin_import(session, new, at=datetime.now(UTC)).id)
    problem: str | None = None
    try:
        yield import_id
    except BillingServiceError as error:
        problem = str(error)
        raise
    except Exception as error:
        problem = f"the import broke down ({type(error).__name__})"
        raise
    finally:
        database.run_blocking(
            lambda session: finish_import(session, import_id, problem=problem, at=datetime.now(UTC))
        )


@contextmanager
def _until_told_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; blocks under way are finished."""
    stop = threading.Event()
    before = [
        (number, signal.signal(number, lambda *_: stop.set())) for number in (signal.SIGTERM, signal.SIGINT)
    ]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class Patience:
    """Waits for the database, so long at most; between blocks it tells whether to go on."""

    def __init__(self, stop: threading.Event, longest_s: float) -> None:
        self._stop, self._longest_s = stop, longest_s
        self._away_since: float | None = None

    def __call__(self, seconds: float) -> bool:
        """See `Import.pause`. Raises Stopped."""
        if seconds == 0:
            self._away_since = None
        else:
            now = time.monotonic()
            self._away_since = now if self._away_since is None else self._away_since
            if now - self._away_since > self._longest_s:
                return False
        if self._stop.wait(seconds):
            raise Stopped
        return True


def print_summary(counts: Counts, settings: Settings, rejects: Path, *, dry_run: bool) -> None:
    """Print what became of the lines, for people and for `cut -d: -f2`."""
    total = Money.from_decimal(counts.total_price).format(settings.currency)
    lines = [
        f"stored: {counts.stored}",
        f"already had: {counts.already_had}",
        f"rejected: {counts.rejected}{f' (see {rejects})' if counts.rejected else ''}",
        f"unassigned: {counts.unassigned}",
        f"without price: {counts.unrated}",
        f"total price: {total} {settings.currency.code}",
    ]
    if dry_run:
        lines.insert(0, "Nothing was stored; this would come of it:")
    sys.stdout.write("\n".join(lines) + "\n")
