"""`/v1/registrations`: the phones."""

from aiohttp import web

from sip_proxy.adapters.control.exchange import EXCHANGE
from sip_proxy.adapters.exchange_view import registration_document


async def get_registrations(request: web.Request) -> web.Response:
    """List all bindings."""
    registrations = request.app[EXCHANGE].registrations()
    return web.json_response({"items": [registration_document(one) for one in registrations]})
