"""Phone accounts: the list, one account with everything about it, suspending and reactivating."""

import asyncio

import structlog
from aiohttp import web

from admin_web.billing_models import AccountState, PhoneAccount
from admin_web.keys import BOARD, SESSION
from admin_web.pages.acting import billing_of, text_field
from admin_web.rendering import fetch_part, render
from admin_web.service_http import NotFound, ServiceError

log = structlog.stdlib.get_logger(__name__)

NUMBER = r"{number:\d{1,20}}"
CALLS_PER_PAGE = 20
BILLS_PER_PAGE = 12


async def show_accounts(request: web.Request) -> web.Response:
    search, state = text_field(request, "q"), text_field(request, "state")
    cursor = text_field(request, "cursor", longest=500)
    accounts = await fetch_part(billing_of(request).accounts(search=search, state=state, cursor=cursor))
    context = {
        "accounts": accounts,
        "search": search,
        "chosen_state": state,
        "states": list(AccountState),
        "cursor": cursor,
    }
    return await render(request, "accounts.html", context)


async def show_account(request: web.Request) -> web.Response:
    return await _account_page(request)


async def suspend_account(request: web.Request) -> web.Response:
    number = request.match_info["number"]
    return await _change_state(request, number, "suspend")


async def reactivate_account(request: web.Request) -> web.Response:
    number = request.match_info["number"]
    return await _change_state(request, number, "reactivate")


async def _change_state(request: web.Request, number: str, verb: str) -> web.Response:
    billing = billing_of(request)
    try:
        account: PhoneAccount = await (
            billing.suspend(number) if verb == "suspend" else billing.reactivate(number)
        )
    except ServiceError as error:
        # Without a redirect the page must not look like the one that did it.
        return await _account_page(request, problem=str(error), status=409)
    event = "account_suspended" if verb == "suspend" else "account_reactivated"
    log.info(event, login=request[SESSION].login, number=number, state=account.state.value)
    raise web.HTTPSeeOther(f"/accounts/{number}")


async def _account_page(request: web.Request, *, problem: str = "", status: int = 200) -> web.Response:
    number = request.match_info["number"]
    calls_cursor = text_field(request, "calls", longest=500)
    bills_cursor = text_field(request, "bills", longest=500)
    billing, board = billing_of(request), request.app[BOARD]
    try:
        account, calls, bills, open_bill = await asyncio.gather(
            fetch_part(billing.account(number)),
            fetch_part(billing.calls(number=number, cursor=calls_cursor, limit=CALLS_PER_PAGE)),
            fetch_part(billing.bills(account=number, cursor=bills_cursor, limit=BILLS_PER_PAGE)),
            fetch_part(billing.open_bill(number)),
        )
    except NotFound:
        return await _no_account_page(request, number)
    context = {
        "number": number,
        "account": account,
        "calls": calls,
        "bills": bills,
        "open_bill": open_bill,
        "calls_cursor": calls_cursor,
        "bills_cursor": bills_cursor,
        "bindings": board.registrations_of(number),
        "live_calls": board.calls_of(number),
        "refused": problem,
    }
    return await render(request, "account.html", context, status=status)


async def _no_account_page(request: web.Request, number: str) -> web.Response:
    """Numbers that people dial link here too, and not each of them is ours."""
    context = {
        "title": "Not one of our numbers",
        "status": 404,
        "text": f"No phone account has the number {number}.",
        "try_again": False,
        "links": [(f"/calls?number={number}", f"Calls with {number}")],
    }
    return await render(request, "error.html", context, status=404)


ROUTES = [
    web.get("/accounts", show_accounts),
    web.get(f"/accounts/{NUMBER}", show_account),
    web.post(f"/accounts/{NUMBER}/suspend", suspend_account),
    web.post(f"/accounts/{NUMBER}/reactivate", reactivate_account),
]
