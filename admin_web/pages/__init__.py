"""A module per page; `ROUTES` is all of them."""

from aiohttp import web

from admin_web.pages import (
    accounts,
    bills,
    calls,
    customers,
    errors,
    health,
    live_calls,
    live_stream,
    login,
    overview,
    phones,
)

ROUTES: list[web.AbstractRouteDef] = [
    *health.ROUTES,
    *login.ROUTES,
    *overview.ROUTES,
    *live_calls.ROUTES,
    *live_stream.ROUTES,
    *phones.ROUTES,
    *customers.ROUTES,
    *accounts.ROUTES,
    *bills.ROUTES,
    *calls.ROUTES,
    *errors.ROUTES,
]
