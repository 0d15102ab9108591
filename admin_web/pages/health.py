"""`GET /health` for whoever starts and watches the console: no login, and nothing about customers."""

from aiohttp import web

from admin_web.keys import BOARD


async def show_health(request: web.Request) -> web.Response:
    """200 while the console can serve pages, which it can without billing or the exchange."""
    exchange = "connected" if request.app[BOARD].connected else "away"
    return web.json_response({"status": "ok", "exchange": exchange})


ROUTES = [web.get("/health", show_health)]
