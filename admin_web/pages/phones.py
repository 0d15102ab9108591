"""The phones that are registered now."""

from aiohttp import web

from admin_web.keys import BOARD
from admin_web.rendering import render


async def show_phones(request: web.Request) -> web.Response:
    return await render(request, "phones.html", {"bindings": request.app[BOARD].registrations})


ROUTES = [web.get("/phones", show_phones)]
