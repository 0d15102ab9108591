"""The services on behalf of the administrator who makes the request."""

from aiohttp import web

from admin_web.billing_client import BillingClient
from admin_web.exchange_client import ExchangeClient
from admin_web.keys import BILLING, EXCHANGE, SESSION


def billing_of(request: web.Request) -> BillingClient:
    return request.app[BILLING].acting_as(request[SESSION].login)


def exchange_of(request: web.Request) -> ExchangeClient:
    return request.app[EXCHANGE].acting_as(request[SESSION].login)


def text_field(request: web.Request, name: str, *, longest: int = 200) -> str:
    """A field of the query, trimmed; nothing longer than any sensible search goes on to a service."""
    return request.query.get(name, "").strip()[:longest]
