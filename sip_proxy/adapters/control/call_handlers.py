"""`/v1/calls`: the live calls, and their end."""

from aiohttp import web

from sip_proxy.adapters.control.exchange import EXCHANGE
from sip_proxy.adapters.control.http import problem
from sip_proxy.adapters.exchange_view import call_document


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
