"""The phones that are registered now."""

from aiohttp import web

from admin_web.pages.live_pieces import live_context
from admin_web.rendering import render


async def show_phones(request: web.Request) -> web.Response:
    return await render(request, "phones.html", live_context(request))


ROUTES = [web.get("/phones", show_phones)]
