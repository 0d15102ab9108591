"""Imports uploaded files of calls, one after the other, in a thread of its own; goes on after a restart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import URL

from billing_service.call_files.rejects import RejectsFile
from billing_service.durations import Seconds
from billing_service.errors import BillingServiceError
from billing_service.settings import Settings
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.use_cases.import_block import Import, Stopped
from billing_service.use_cases.import_calls import import_calls
from billing_service.use_cases.import_runs import (
    RUNNING,
    find_import,
    finish_import,
    interrupted_uploads,
    restart_import,
)
from billing_service.use_cases.rate_call import CompiledPlans

# How soon it is looked again for uploads when the database was away at the start.
_AGAIN_S = 5.0

log = structlog.get_logger(__name__)


class ImportRunner:
    """Runs imports of files in `var/imports`. A run that was interrupted begins again at the next start."""

    def __init__(
        self,
        settings: Settings,
        *,
        plans: CompiledPlans,
        now: Callable[[], datetime],
        database_url: URL | None = None,
    ) -> None:
        self.directory = settings.var / "imports"
        self._settings = settings
        self._database_url = database_url or settings.database_url
        self._plans = plans
        self._now = now
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="imports")

    def upload_path(self, import_id: int) -> Path:
        """Where the uploaded file of a run is."""
        return self.directory / f"{import_id}.upload"

    def forget_upload(self, import_id: int) -> None:
        """Remove the uploaded file of a run; one that is being read can be read on."""
        self.upload_path(import_id).unlink(missing_ok=True)

    def rejects_path(self, import_id: int) -> Path:
        """Where the rejected lines of a run are, if there are any."""
        return self.directory / f"{import_id}.rejects.csv"

    def start(self) -> None:
        """Take up what an earlier process left."""
        self._thread.submit(self._resume)

    def submit(self, import_id: int) -> None:
        """Import an uploaded file when those before it are done."""
        self._thread.submit(self._run, import_id)

    async def close(self) -> None:
        """Finish the block under way; the rest is done after the next start."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    def _resume(self) -> None:
        while not self._stop.is_set():
            database = Database.at(self._database_url, threads=1)
            try:
                left = database.run_blocking(lambda session: [run.id for run in interrupted_uploads(session)])
            except DatabaseUnavailable:
                self._stop.wait(_AGAIN_S)
                continue
            finally:
                database.close()
            for import_id in left:
                # Another machine's upload is that machine's to import.
                if self.upload_path(import_id).exists():
                    self._run(import_id)
            return

    def _run(self, import_id: int) -> None:
        if self._stop.is_set():
            return
        database = Database.at(self._database_url, threads=1)
        try:
            self._import(database, import_id)
        except Exception:
            # The database went away. Not finished, so that it is tried again; the next file must not wait.
            log.exception("import_failed", import_id=import_id)
        finally:
            database.close()

    def _import(self, database: Database, import_id: int) -> None:
        run = database.run_blocking(lambda session: find_import(session, import_id))
        if run.state != RUNNING:  # cancelled before its turn came
            self.forget_upload(import_id)
            return
        database.run_blocking(lambda session: restart_import(session, import_id, at=self._now()))
        rejects = RejectsFile(self.rejects_path(import_id))
        problem: str | None = None
        try:
            with self.upload_path(import_id).open("rb") as file:
                import_calls(
                    database,
                    file,
                    Import(
                        format=run.format,
                        file_zone=ZoneInfo(run.timezone),
                        plans=self._plans,
                        currency=self._settings.currency,
                        zone=self._settings.timezone,
                        clock=self._now,
                        reject=rejects.add,
                        pause=self._pause,
                        import_id=import_id,
                    ),
                )
        except Stopped:
            log.info("import_interrupted", import_id=import_id)
            return
        except BillingServiceError as error:
            problem = str(error)
        except Exception as error:
            # It would fail the same way at every start. What it says is for the log: it may quote the file.
            log.exception("import_broke_down", import_id=import_id)
            problem = f"the import broke down ({type(error).__name__}); the log tells where"
        finally:
            rejects.close()
        database.run_blocking(
            lambda session: finish_import(session, import_id, problem=problem, at=self._now())
        )
        self.forget_upload(import_id)
        log.info("import_finished", import_id=import_id, problem=problem)

    def _pause(self, seconds: Seconds) -> bool:
        if self._stop.wait(seconds):
            raise Stopped
        return True
