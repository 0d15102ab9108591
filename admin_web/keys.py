"""Typed keys of what the application and a request carry."""

from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from admin_web.billing_client import BillingClient
from admin_web.billing_info import BillingInfo
from admin_web.exchange_client import ExchangeClient
from admin_web.live_board import LiveBoard
from admin_web.login_limit import LoginLimit
from admin_web.session import Session, SessionKeeper

BILLING = web.AppKey("BILLING", BillingClient)
BILLING_INFO = web.AppKey("BILLING_INFO", BillingInfo)
EXCHANGE = web.AppKey("EXCHANGE", ExchangeClient)
BOARD = web.AppKey("BOARD", LiveBoard)
SESSIONS = web.AppKey("SESSIONS", SessionKeeper)
LOGIN_LIMIT = web.AppKey("LOGIN_LIMIT", LoginLimit)
ADDRESS_LIMIT = web.AppKey("ADDRESS_LIMIT", LoginLimit)
CLOCK: web.AppKey[Callable[[], datetime]] = web.AppKey("CLOCK")

SESSION = web.RequestKey("SESSION", Session)
