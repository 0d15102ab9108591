"""What the pieces of pages that follow the exchange need, on the page and in its stream alike."""

from typing import Any

from aiohttp import web

from admin_web.keys import BOARD

MOST_CALLS = 200
NEWEST_CALLS = 5
MOST_PHONES = 500


def live_context(request: web.Request, *, newest: bool = False) -> dict[str, Any]:
    """The state of the board as the templates know it; `newest`: only as many calls as a front page needs."""
    board = request.app[BOARD]
    return {
        "shown_calls": board.calls,
        "most_calls": NEWEST_CALLS if newest else MOST_CALLS,
        "bindings": board.registrations,
        "most_phones": MOST_PHONES,
        "live_call_count": board.call_count,
        "phone_count": board.phone_count,
    }
