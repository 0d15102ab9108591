"""Customers: the list with search, and one customer with his phone accounts."""

import asyncio

from aiohttp import web

from admin_web.pages.acting import billing_of, text_field
from admin_web.rendering import fetch_part, render


async def show_customers(request: web.Request) -> web.Response:
    search = text_field(request, "q")
    cursor = text_field(request, "cursor", longest=500)
    customers = await fetch_part(billing_of(request).customers(search=search, cursor=cursor))
    return await render(
        request, "customers.html", {"customers": customers, "search": search, "cursor": cursor}
    )


async def show_customer(request: web.Request) -> web.Response:
    customer_id = int(request.match_info["id"])
    cursor = text_field(request, "cursor", longest=500)
    billing = billing_of(request)
    customer, accounts = await asyncio.gather(
        fetch_part(billing.customer(customer_id)),
        fetch_part(billing.accounts(customer_id=customer_id, cursor=cursor)),
    )
    context = {"customer": customer, "accounts": accounts, "cursor": cursor, "customer_id": customer_id}
    return await render(request, "customer.html", context)


ROUTES = [web.get("/customers", show_customers), web.get(r"/customers/{id:\d{1,15}}", show_customer)]
