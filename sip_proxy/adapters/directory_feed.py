"""The directory feed: what an administrator changes is in force at the exchange within a second."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import RefusedByBilling, UnableToReachBilling, UnexpectedAnswer
from sip_proxy.adapters.directory_copy import DirectoryCopy
from sip_proxy.adapters.directory_json import (
    DirectoryUpdate,
    ForeignRealm,
    UnusableDirectory,
    directory_document,
    parse_update,
)
from sip_proxy.core.directory import Directory

_WAIT_S = 30
_PAUSE_S = 0.1
# Writing the copy may take a while with many accounts, and changes come in bunches.
_SAVE_INTERVAL_S = 2.0

log = structlog.get_logger()


class DirectorySource(Protocol):
    """Where changes come from."""

    async def fetch_directory(self, *, since: int, wait_s: int) -> object:
        """Return the changes after a version, waiting for one."""


class DirectoryHolder(Protocol):
    """Who uses the directory."""

    directory: Directory


class DirectoryFeed:
    """Keeps the holder's directory like billing's, and a copy of it on disk."""

    def __init__(
        self,
        source: DirectorySource,
        holder: DirectoryHolder,
        copy: DirectoryCopy,
        *,
        realm: str,
        backoff: Backoff,
        on_contact: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_contact` is called when billing answers after having been away, `on_change` after changes."""
        self._source = source
        self._holder = holder
        self._copy = copy
        self._realm = realm
        self._backoff = backoff
        self._on_contact = on_contact
        self._on_change = on_change
        self._reported: str | None = None
        self._saved_version: int | None = None
        self.loaded = asyncio.Event()

    def load_copy(self) -> None:
        """Take the copy on disk, if there is a usable one."""
        try:
            update = self._copy.load()
        except UnusableDirectory as error:
            log.warning("directory_copy_unusable", error=str(error))
            return
        if update is not None:
            self._apply(update)
            self._saved_version = update.version
            log.info("directory_copy_loaded", version=update.version, accounts=len(update.accounts))

    async def run(self) -> None:
        """Follow the feed until cancelled."""
        # Ask for everything once: the copy may be of a database that was replaced since.
        since = 0
        while True:
            try:
                document = await self._source.fetch_directory(since=since, wait_s=_WAIT_S)
                update = parse_update(document, realm=self._realm)
            except (UnableToReachBilling, RefusedByBilling, UnexpectedAnswer, UnusableDirectory) as error:
                self._report(error)
                await asyncio.sleep(self._backoff.next_delay_s())
                continue
            self._report_recovery()
            if update.is_full or update.version != self._holder.directory.version:
                self._apply(update)
            if update.version == since:
                # Usually this comes after a long wait; one that comes at once must not make us spin.
                await asyncio.sleep(_PAUSE_S)
            since = update.version

    async def keep_copy(self) -> None:
        """Save the directory whenever it has changed, until cancelled."""
        while True:
            await self.loaded.wait()
            await self.save_copy()
            await asyncio.sleep(_SAVE_INTERVAL_S)

    async def save_copy(self) -> None:
        """Save the directory if it has changed since it was last saved."""
        directory = self._holder.directory
        version = directory.version
        if not self.loaded.is_set() or version == self._saved_version:
            return
        # Changes are made in place, so the document is made here and only written elsewhere.
        document = directory_document(directory, realm=self._realm)
        try:
            await asyncio.to_thread(self._copy.save, document)
        except OSError as error:
            log.warning("directory_copy_not_saved", error=str(error))
            return
        self._saved_version = version

    def _apply(self, update: DirectoryUpdate) -> None:
        self._holder.directory = update.apply_to(self._holder.directory)
        self._on_change()
        self.loaded.set()

    def _report(self, error: Exception) -> None:
        """Log what is wrong once, not at every try."""
        text = str(error)
        if text == self._reported:
            return
        self._reported = text
        if isinstance(error, ForeignRealm):
            log.error("directory_refused", error=text)
        else:
            log.warning("directory_feed_failed", error=text, version=self._holder.directory.version)

    def _report_recovery(self) -> None:
        self._backoff.reset()
        if self._reported is not None:
            self._reported = None
            log.info("directory_feed_recovered")
        self._on_contact()
