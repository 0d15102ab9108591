"""Bills: the list, a closed bill, and the open bill of an account; printable."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from admin_web.billing_models import Bill, BillState
from admin_web.formatting import Formats
from admin_web.keys import BILLING_INFO, CLOCK
from admin_web.pages.accounts import NUMBER
from admin_web.pages.acting import billing_of, text_field
from admin_web.rendering import fetch_part, render


async def show_bills(request: web.Request) -> web.Response:
    choice = text_field(request, "state")
    cursor = text_field(request, "cursor", longest=500)
    account = text_field(request, "account")
    bills = await fetch_part(
        billing_of(request).bills(
            account=account,
            state="" if choice == "unpaid" else choice,
            unpaid=choice == "unpaid",
            cursor=cursor,
        )
    )
    choices = {"": "All", "unpaid": "Unpaid", "closed": "Closed", "paid": "Paid", "void": "Void"}
    context = {"bills": bills, "choices": choices, "chosen": choice, "account": account, "cursor": cursor}
    return await render(request, "bills.html", context)


async def show_bill(request: web.Request) -> web.Response:
    bill = await billing_of(request).bill(request.match_info["bill"])
    return await _bill_page(request, bill)


async def show_open_bill(request: web.Request) -> web.Response:
    bill = await billing_of(request).open_bill(request.match_info["number"])
    return await _bill_page(request, bill)


async def _bill_page(request: web.Request, bill: Bill) -> web.Response:
    """A bill is a document: it keeps the time zone and the currency that it was closed in."""
    formats = await request.app[BILLING_INFO].formats()
    try:
        formats = Formats(ZoneInfo(bill.timezone), bill.currency)
    except (ZoneInfoNotFoundError, ValueError):
        formats = Formats(formats.zone, bill.currency)
    today = formats.today(request.app[CLOCK]())
    overdue = bill.due_on is not None and bill.due_on < today and bill.amount_due > 0
    context = {"bill": bill, "fmt": formats, "overdue": overdue, "is_open": bill.state is BillState.OPEN}
    return await render(request, "bill.html", context)


ROUTES = [
    web.get("/bills", show_bills),
    web.get(r"/bills/{bill:[0-9A-Za-z][0-9A-Za-z-]{0,39}}", show_bill),
    web.get(f"/accounts/{NUMBER}/open-bill", show_open_bill),
]
