"""The front page: what is going on, and whether everything works."""

import asyncio

from aiohttp import web

from admin_web.pages.acting import billing_of, exchange_of
from admin_web.pages.live_pieces import live_context
from admin_web.rendering import fetch_part, render

LATEST_CALLS = 8


async def show_overview(request: web.Request) -> web.Response:
    billing, exchange = billing_of(request), exchange_of(request)
    figures, latest, billing_info, billing_health, exchange_info, exchange_health = await asyncio.gather(
        fetch_part(billing.overview()),
        fetch_part(billing.calls(limit=LATEST_CALLS)),
        fetch_part(billing.info()),
        fetch_part(billing.health()),
        fetch_part(exchange.info()),
        fetch_part(exchange.health()),
    )
    context = {
        **live_context(request, newest=True),
        "figures": figures,
        "latest": latest,
        "billing_info": billing_info,
        "billing_health": billing_health,
        "exchange_info": exchange_info,
        "exchange_health": exchange_health,
        "billing_place": billing.place,
        "exchange_place": exchange.place,
    }
    return await render(request, "overview.html", context)


ROUTES = [web.get("/", show_overview)]
