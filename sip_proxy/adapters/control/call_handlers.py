"""`/v1/calls`: the live calls, their messages, and their end."""

from aiohttp import web

from sip_proxy.adapters.control.exchange import EXCHANGE
from sip_proxy.adapters.control.http import problem
from sip_proxy.adapters.exchange_view import call_document
from sip_proxy.adapters.ladder_svg import draw_svg
from sip_proxy.adapters.ladder_text import draw_text


async def get_calls(request: web.Request) -> web.Response:
    """List the live calls."""
    return web.json_response({"items": [call_document(call) for call in request.app[EXCHANGE].live_calls()]})


async def delete_call(request: web.Request) -> web.Response:
    """End one call."""
    call_id = request.match_info["id"]
    if not request.app[EXCHANGE].end_call(call_id):
        return problem(404, "Not Found", f"There is no live call {call_id}.")
    return web.Response(status=202)


async def delete_calls(request: web.Request) -> web.Response:
    """End all calls but emergency calls."""
    return web.json_response({"ended": request.app[EXCHANGE].end_all_calls()}, status=202)


async def get_ladder(request: web.Request) -> web.Response:
    """Draw the messages of a call, as text or as a picture."""
    call_id = request.match_info["id"]
    ladder = request.app[EXCHANGE].ladder(call_id)
    if ladder is None:
        return problem(404, "Not Found", f"No messages are kept of a call {call_id}.")
    wanted = request.query.get("format") or ("svg" if "image/svg+xml" in _accepted(request) else "text")
    if wanted == "svg":
        # A phone's own words are in it: a browser that opens it must run nothing.
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=draw_svg(ladder), content_type="image/svg+xml", headers=headers)
    if wanted == "text":
        return web.Response(text=draw_text(ladder), content_type="text/plain", charset="utf-8")
    return problem(400, "Bad Request", "format should be text or svg.")


def _accepted(request: web.Request) -> str:
    return request.headers.get("Accept", "")
