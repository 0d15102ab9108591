"""What went wrong: call records that billing would not take, and security events of the exchange."""

from aiohttp import web

from admin_web.keys import BOARD
from admin_web.pages.acting import billing_of, text_field
from admin_web.rendering import fetch_part, render


async def show_errors(request: web.Request) -> web.Response:
    cursor = text_field(request, "cursor", longest=500)
    rejected = await fetch_part(billing_of(request).rejected_records(cursor=cursor))
    context = {
        "rejected": rejected,
        "cursor": cursor,
        "security_events": list(request.app[BOARD].security_events),
    }
    return await render(request, "errors.html", context)


ROUTES = [web.get("/errors", show_errors)]
