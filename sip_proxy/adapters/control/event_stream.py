"""`/v1/events`: everything that happens, as it happens."""

import asyncio
from contextlib import suppress

from aiohttp import web

from sip_proxy.adapters.control.exchange import EVENTS, EXCHANGE
from sip_proxy.adapters.control.exchange_handlers import state_document
from sip_proxy.adapters.event_hub import Subscription, encode_event
from sip_proxy.adapters.exchange_view import call_document, registration_document

_KEEP_ALIVE_S = 15.0


async def get_events(request: web.Request) -> web.StreamResponse:
    """Send a snapshot, then every change until the watcher goes, or falls behind."""
    exchange = request.app[EXCHANGE]
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    # Subscribed before the snapshot is taken, with nothing awaited between: no change falls through.
    with request.app[EVENTS].subscribe() as subscription:
        snapshot = {
            "calls": [call_document(call) for call in exchange.live_calls()],
            "registrations": [registration_document(one) for one in exchange.registrations()],
            "state": state_document(exchange),
        }
        first = encode_event("snapshot", snapshot)
        sending = asyncio.ensure_future(_send_events(response, subscription, first))
        over = asyncio.ensure_future(subscription.over.wait())
        try:
            await asyncio.wait((sending, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, over):
                task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
    if subscription.fell_behind and request.transport is not None:
        # The connection of such a watcher is full: not even the end of the stream would get through.
        request.transport.abort()
    return response


async def _send_events(response: web.StreamResponse, subscription: Subscription, first: bytes) -> None:
    await response.write(first)
    while True:
        try:
            async with asyncio.timeout(_KEEP_ALIVE_S):
                event = await subscription.next()
        except TimeoutError:
            event = b": still here\n\n"
        await response.write(event)
