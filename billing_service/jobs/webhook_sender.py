"""Sends events to webhooks: a lane per receiver, so that a slow one holds nobody else up.

Any number of processes may do so at once. An attempt is claimed for a short while before it is made, so an
event is sent again after a crash, and never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from errno import EACCES
from functools import partial
from typing import Final

import structlog
from aiohttp import (
    ClientError,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from billing_service.domain.webhook import signed_headers
from billing_service.durations import Seconds
from billing_service.storage.unit_of_work import Database, DatabaseUnavailable
from billing_service.storage.webhook_deliveries import (
    AttemptResult,
    ClaimedDelivery,
    claim_deliveries,
    remove_old_events,
    route_events,
    webhooks_with_work,
)
from billing_service.use_cases.webhooks import is_private, note_attempt

ANSWER_TIMEOUT_S: Final = 15.0
LEASE: Final = timedelta(seconds=2 * ANSWER_TIMEOUT_S)
AT_ONCE: Final = 8
"""Attempts at the same time for one receiver."""
KEPT: Final = timedelta(days=14)
"""How long events and the log of their deliveries are kept."""
_REMOVE_EVERY: Final = timedelta(hours=1)
_LONGEST_PAUSE_S: Final = 30.0
_BLOCKED_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class WebhookSender:
    """Runs for as long as the service.

    `next_change` hands out what is set as soon as events are written.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        next_change: Callable[[], asyncio.Event],
        allow_private: bool,
        answer_timeout_s: Seconds = ANSWER_TIMEOUT_S,
    ) -> None:
        self._database = database
        self._now = now
        self._next_change = next_change
        self._allow_private = allow_private
        self._answer_timeout_s = answer_timeout_s
        self._lanes: dict[int, asyncio.Task[int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._removed_at: datetime | None = None
        self._session: ClientSession | None = None

    def start(self) -> None:
        """Begin; call it on the event loop."""
        self._task = asyncio.create_task(self._run(), name="webhook-sender")

    async def stop(self) -> None:
        """End. Attempts under way are cut off and made again by whoever runs next."""
        tasks = [task for task in (self._task, *self._lanes.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send_due(self) -> None:
        """Send what is due now, to all receivers, and return when nothing is."""
        while True:
            await self._start_lanes()
            if not sum(await asyncio.gather(*self._lanes.values())):
                return

    async def _run(self) -> None:
        pause_s = 0.0
        while True:
            changed = self._next_change()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await changed.wait()
            try:
                pause_s = await self._start_lanes()
                await self._remove_old()
            except DatabaseUnavailable as error:
                log.warning("webhooks_wait_for_database", reason=str(error))
                pause_s = _BLOCKED_PAUSE_S
            except Exception:  # the sender must outlive whatever it was
                log.exception("webhook_sender_failed")
                pause_s = _LONGEST_PAUSE_S

    async def _start_lanes(self) -> Seconds:
        """Start a lane for each receiver with work that has none; returns when to look again, in seconds."""
        now = self._now()
        while await self._database.run(lambda session: route_events(session, now=now)):
            pass
        ready, next_at = await self._database.run(lambda session: webhooks_with_work(session, now=now))
        for webhook_id in ready:
            if webhook_id not in self._lanes:
                lane = asyncio.create_task(self._send_all(webhook_id), name=f"webhook-{webhook_id}")
                self._lanes[webhook_id] = lane
                lane.add_done_callback(partial(self._end_lane, webhook_id))
        if ready:
            return _BLOCKED_PAUSE_S
        if next_at is None:
            return _LONGEST_PAUSE_S
        return min(max((next_at - now).total_seconds(), 0.05), _LONGEST_PAUSE_S)

    def _end_lane(self, webhook_id: int, _: asyncio.Task[int]) -> None:
        self._lanes.pop(webhook_id, None)

    async def _send_all(self, webhook_id: int) -> int:
        """Send to one receiver until nothing is due; returns how many attempts that took."""
        attempts = 0
        try:
            while True:
                claimed = await self._database.run(
                    lambda session: claim_deliveries(
                        session, webhook_id, now=self._now(), lease=LEASE, limit=AT_ONCE
                    )
                )
                if not claimed:
                    break
                attempts += len(claimed)
                await asyncio.gather(*(self._deliver(delivery) for delivery in claimed))
        except DatabaseUnavailable as error:
            log.warning("webhooks_wait_for_database", webhook=webhook_id, reason=str(error))
        except Exception:  # the other receivers have lanes of their own
            log.exception("webhook_lane_failed", webhook=webhook_id)
        return attempts

    async def _deliver(self, delivery: ClaimedDelivery) -> None:
        result = await self._attempt(delivery)
        now = self._now()
        await self._database.run(
            lambda session: note_attempt(session, delivery, result, now=now, chance=random.randrange(101))
        )
        log.info(
            "webhook_attempted",
            webhook=delivery.webhook_id,
            event_id=delivery.event["id"],
            kind=delivery.event["type"],
            attempt=delivery.attempts,
            status=result.status,
            error=result.error,
        )

    async def _attempt(self, delivery: ClaimedDelivery) -> AttemptResult:
        """Send once. Only the status of the answer matters; its body is not even read."""
        body = json.dumps(delivery.event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Tollbell-Webhooks/1",
            **signed_headers(
                delivery.secrets,
                message_id=delivery.event["id"],
                timestamp=int(self._now().timestamp()),
                body=body,
            ),
        }
        try:
            url = URL(delivery.url)
            if not self._allow_private and is_private(url.host or ""):
                return AttemptResult(None, f"{url.host} is a private address; the settings forbid that")
            async with (
                asyncio.timeout(self._answer_timeout_s),
                # A redirect could lead anywhere, so it is an answer like any other: not a success.
                self._client().post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                answer.close()
                error = None if 200 <= answer.status < 300 else f"it answered {answer.status}"
                return AttemptResult(
                    answer.status, error, _retry_after(answer.headers.get("Retry-After", ""))
                )
        except TimeoutError:
            return AttemptResult(None, f"no answer within {self._answer_timeout_s:g} s")
        except (ClientError, OSError, ValueError) as error:
            return AttemptResult(None, _told(error))

    def _client(self) -> ClientSession:
        if self._session is None:
            resolver = ThreadedResolver()
            self._session = ClientSession(
                connector=TCPConnector(
                    limit=0,
                    resolver=resolver if self._allow_private else PublicResolver(resolver),
                    use_dns_cache=False,
                    force_close=True,
                ),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=self._answer_timeout_s),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _remove_old(self) -> None:
        now = self._now()
        if self._removed_at is not None and now < self._removed_at + _REMOVE_EVERY:
            return
        self._removed_at = now
        more = True
        while more:
            more = await self._database.run(lambda session: remove_old_events(session, before=now - KEPT) > 0)


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only.

    The address that is checked is the one connected to: a name that changes in between gains nothing.
    """

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public ones of the host's addresses; raise OSError when there are none."""
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if not is_private(one["host"])]
        if not public:
            raise OSError(EACCES, f"{host} has no public address; the settings forbid private ones")
        return public

    async def close(self) -> None:
        """Close the resolver that does the work."""
        await self._resolver.close()


def _told(error: Exception) -> str:
    """What went wrong, in a line that viewers may read: without the address, which may hold a token."""
    if isinstance(error, ClientResponseError):
        reason = error.message
    elif isinstance(error, InvalidURL):
        reason = "it cannot be connected to"
    else:
        reason = str(error)
    first_line = reason.partition("\n")[0]  # more lines would quote the answer
    return f"{type(error).__name__}: {first_line}"[:300]


def _retry_after(value: str) -> timedelta | None:
    return timedelta(seconds=int(value)) if value.isascii() and value.isdigit() and len(value) < 7 else None
