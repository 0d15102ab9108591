"""One event stream per open page, fed from the live board: pieces of the page as they change."""

import asyncio
from collections.abc import Set
from contextlib import suppress

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from admin_web.keys import BOARD, SESSION, SESSIONS
from admin_web.live_board import BoardVersion
from admin_web.pages.live_pieces import live_context
from admin_web.rendering import render_fragment

# A busy exchange changes many times a second; a person needs no more than this.
SHORTEST_PAUSE_S = 0.2
SESSION_CHECK_S = 2.0
RECONNECT_MS = 1000
NEVER_SEEN = BoardVersion(-1, -1)
TEMPLATES = {
    "calls": "parts/live_calls.html",
    "newest": "parts/live_calls.html",
    "phones": "parts/phones.html",
    "figures": "parts/live_figures.html",
}


async def stream_live(request: web.Request) -> EventSourceResponse:
    """`GET /live/stream?show=calls`: events `calls`, `newest`, `phones`, `figures`, each a piece of HTML.

    It starts with the state of now, so nothing that happened before or during a reconnection is missed. It
    ends when the session does.
    """
    board, sessions, session = request.app[BOARD], request.app[SESSIONS], request[SESSION]
    wanted = TEMPLATES.keys() & set(request.query.get("show", "").split(","))
    if not wanted:
        raise web.HTTPNotFound
    seen = NEVER_SEEN
    async with sse_response(request) as response:
        with suppress(ConnectionError):
            while not board.closed and response.is_connected():
                if sessions.remaining(session).total_seconds() <= 0:
                    why = sessions.why_over(request.cookies.get(sessions.cookie_name))
                    await response.send(why or "", event="session-over")
                    break
                now_seen = board.version
                await _send_changes(request, response, wanted, seen, now_seen)
                pause_s = SHORTEST_PAUSE_S if now_seen != seen else 0.0
                seen = now_seen
                await asyncio.sleep(pause_s)
                with suppress(TimeoutError):
                    await asyncio.wait_for(board.wait_for_change(seen), SESSION_CHECK_S)
    return response


async def _send_changes(
    request: web.Request,
    response: EventSourceResponse,
    wanted: Set[str],
    seen: BoardVersion,
    now: BoardVersion,
) -> None:
    changed = set()
    if now.calls != seen.calls:
        changed |= {"calls", "newest", "figures"}
    if now.phones != seen.phones:
        changed |= {"phones", "figures"}
    # In a fixed order, so that a page fills from its top.
    for piece in sorted(wanted & changed):
        html = await render_fragment(
            request, TEMPLATES[piece], live_context(request, newest=piece == "newest")
        )
        await response.send(html, event=piece, retry=RECONNECT_MS)


ROUTES = [web.get("/live/stream", stream_live, allow_head=False)]
