"""The calls that are going on now, and the button that ends one."""

import structlog
from aiohttp import web

from admin_web.keys import BOARD, SESSION
from admin_web.pages.acting import exchange_of
from admin_web.pages.live_pieces import live_context
from admin_web.rendering import render, render_fragment
from admin_web.service_http import NotFound, ServiceError

log = structlog.stdlib.get_logger(__name__)


async def show_live_calls(request: web.Request) -> web.Response:
    return await render(request, "live_calls.html", live_context(request))


async def end_call(request: web.Request) -> web.Response:
    """End a call. The row goes away when the exchange says so, which is why the answer is a notice only."""
    call_id = str((await request.post()).get("call_id", ""))
    call = next((call for call in request.app[BOARD].calls if call.id == call_id), None)
    between = f" from {call.caller} to {call.callee}" if call else ""
    try:
        await exchange_of(request).end_call(call_id)
        notice, kind = f"The call{between} is being ended.", "success"
        log.info("call_ended_by_administrator", login=request[SESSION].login, call=call_id)
    except NotFound:
        notice, kind = f"The call{between} was already over.", "info"
    except ServiceError as error:
        notice, kind = str(error), "danger"
    if "HX-Request" not in request.headers:
        raise web.HTTPSeeOther("/live")
    html = await render_fragment(request, "parts/notice.html", {"notice": notice, "kind": kind})
    return web.Response(text=html, content_type="text/html")


ROUTES = [web.get("/live", show_live_calls), web.post("/live/end", end_call)]
