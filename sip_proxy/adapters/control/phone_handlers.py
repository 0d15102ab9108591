"""`/v1/registrations`, `/v1/phone-tests`, `/v1/phones`: the phones, whether they answer, their reset."""

from aiohttp import web

from sip_proxy.adapters.control.exchange import EXCHANGE
from sip_proxy.adapters.control.http import problem
from sip_proxy.adapters.exchange_view import phone_test_document, registration_document


async def get_registrations(request: web.Request) -> web.Response:
    """List all bindings."""
    registrations = request.app[EXCHANGE].registrations()
    return web.json_response({"items": [registration_document(one) for one in registrations]})


async def get_phone_tests(request: web.Request) -> web.Response:
    """List the last result of every phone."""
    results = request.app[EXCHANGE].phone_tests()
    return web.json_response({"items": [phone_test_document(one) for one in results]})


async def post_phone_tests(request: web.Request) -> web.Response:
    """Test all phones."""
    return web.json_response({"numbers": request.app[EXCHANGE].test_all_phones()}, status=202)


async def post_phone_test(request: web.Request) -> web.Response:
    """Test the phones of one number."""
    number = request.match_info["number"]
    return _accepted(number, is_there=request.app[EXCHANGE].test_phone(number))


async def post_phone_reset(request: web.Request) -> web.Response:
    """Ask the phones of one number to start anew."""
    number = request.match_info["number"]
    return _accepted(number, is_there=request.app[EXCHANGE].reset_phone(number))


def _accepted(number: str, *, is_there: bool) -> web.Response:
    if not is_there:
        return problem(404, "Not Found", f"No phone is registered for {number}.")
    return web.Response(status=202)
