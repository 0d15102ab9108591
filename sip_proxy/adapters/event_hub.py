"""Hands what happens at the exchange to everyone who watches, and waits for nobody."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sip_proxy.adapters.exchange_view import Json

_QUEUE_SIZE = 1000


class Subscription:
    """One watcher's queue of events, each ready to be sent (`text/event-stream`)."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(size)
        self.over = asyncio.Event()
        """Set when the watcher fell behind, or the hub closes: there will be no more events."""
        self.fell_behind = False

    async def next(self) -> bytes:
        """Return the next event as soon as there is one."""
        return await self._queue.get()

    def put(self, event: bytes) -> None:
        """Add an event; a watcher who is too far behind is cut off, and gets a fresh start by coming back."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.fell_behind = True
            self.over.set()


class EventHub:
    """Publishes events to all subscriptions."""

    def __init__(
        self, *, queue_size: int = _QUEUE_SIZE, on_watched: Callable[[bool], None] = lambda is_watched: None
    ) -> None:
        """`on_watched` hears whether anybody watches: now, and whenever that changes."""
        self._queue_size = queue_size
        self._subscriptions: set[Subscription] = set()
        self._is_closed = False
        self._on_watched = on_watched
        on_watched(self.has_watchers)

    @property
    def has_watchers(self) -> bool:
        """Whether anybody watches: if not, events need not be made."""
        return bool(self._subscriptions)

    def publish(self, kind: str, data: Json) -> None:
        """Hand an event to every watcher."""
        event = encode_event(kind, data)
        for subscription in self._subscriptions:
            subscription.put(event)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Watch from now on."""
        subscription = Subscription(self._queue_size)
        if self._is_closed:
            subscription.over.set()
        self._subscriptions.add(subscription)
        self._on_watched(self.has_watchers)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._on_watched(self.has_watchers)

    def close(self) -> None:
        """Let every watcher go."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.over.set()


def encode_event(kind: str, data: object) -> bytes:
    """Write a server-sent event with its data on one line (WHATWG HTML §9.2)."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
