"""Logging in and out, and the questions a page asks about its session."""

import hmac

import structlog
from aiohttp import web

from admin_web.access import (
    CSRF_FIELD,
    clear_session_cookie,
    is_https,
    new_token,
    safe_next,
    set_session_cookie,
)
from admin_web.keys import ADDRESS_LIMIT, BILLING, LOGIN_LIMIT, SESSION, SESSIONS
from admin_web.rendering import render
from admin_web.service_http import RequestRefused, ServiceError

log = structlog.stdlib.get_logger(__name__)

WRONG = "The login or the password is wrong."
TOO_MANY = "Too many failed attempts. Wait {minutes} and try again."
OUT_OF_DATE = "This form was out of date. Please try again."
MAX_FIELD = 200


async def show_login(request: web.Request) -> web.Response:
    target = safe_next(request.query.get("next", "/"))
    if SESSION in request:
        raise web.HTTPSeeOther(target)
    return await _login_form(request, target=target, why=request.query.get("why", ""))


async def log_in(request: web.Request) -> web.Response:
    form = await request.post()
    login, password = _text(form.get("login")).strip(), _text(form.get("password"))
    target = safe_next(_text(form.get("next")))
    form_cookie = request.cookies.get(_form_cookie_name(request), "")
    if not form_cookie or not hmac.compare_digest(form_cookie.encode(), _text(form.get(CSRF_FIELD)).encode()):
        return await _login_form(request, target=target, login=login, problem=OUT_OF_DATE, status=403)
    if not login or not password or len(login) > MAX_FIELD or len(password) > MAX_FIELD:
        return await _login_form(request, target=target, login=login[:MAX_FIELD], problem=WRONG, status=401)
    address = request.remote or "unknown"
    for limit, key in ((LOGIN_LIMIT, _login_key(login, address)), (ADDRESS_LIMIT, address)):
        if (wait := request.app[limit].begin(key)) is not None:
            log.warning("login_refused", login=login, remote=address, reason="too many attempts")
            minutes = max(1, -(-int(wait.total_seconds()) // 60))
            problem = TOO_MANY.format(minutes="a minute" if minutes == 1 else f"{minutes} minutes")
            return await _login_form(request, target=target, login=login, problem=problem, status=429)
    return await _ask_billing(request, login, password, target, address)


async def _ask_billing(
    request: web.Request, login: str, password: str, target: str, address: str
) -> web.Response:
    try:
        administrator = await request.app[BILLING].log_in(login, password, address=request.remote)
    except RequestRefused as error:
        log.warning("login_refused", login=login, remote=address, status=error.status)
        if error.status == 429:
            problem = TOO_MANY.format(minutes="a minute")
            return await _login_form(request, target=target, login=login, problem=problem, status=429)
        # The same words for a login that does not exist: nobody learns which ones do.
        return await _login_form(request, target=target, login=login, problem=WRONG, status=401)
    except ServiceError as error:
        request.app[LOGIN_LIMIT].withdraw(_login_key(login, address))
        request.app[ADDRESS_LIMIT].withdraw(address)
        return await _login_form(request, target=target, login=login, problem=str(error), status=503)
    request.app[LOGIN_LIMIT].succeed(_login_key(login, address))
    request.app[ADDRESS_LIMIT].withdraw(address)
    session = request.app[SESSIONS].begin(
        login=administrator.login, name=administrator.name, role=administrator.role
    )
    log.info("logged_in", login=session.login, remote=address)
    response = web.Response(status=303, headers={"Location": target})
    set_session_cookie(request, response, session)
    response.del_cookie(_form_cookie_name(request), path="/login")
    return response


async def log_out(request: web.Request) -> web.Response:
    session = request[SESSION]
    request.app[SESSIONS].end(session)
    log.info("logged_out", login=session.login)
    response = web.Response(status=303, headers={"Location": "/login?why=logout"})
    clear_session_cookie(request, response)
    return response


async def show_session(request: web.Request) -> web.Response:
    """How long the session lasts without activity; asking is no activity."""
    remaining = request.app[SESSIONS].remaining(request[SESSION])
    return web.json_response({"remaining_ms": max(0, int(remaining.total_seconds() * 1000))})


async def keep_session(request: web.Request) -> web.Response:
    """The administrator types or moves on a page without loading another one."""
    remaining = request.app[SESSIONS].remaining(request[SESSION])
    return web.json_response({"remaining_ms": max(0, int(remaining.total_seconds() * 1000))})


async def _login_form(
    request: web.Request, *, target: str, login: str = "", problem: str = "", why: str = "", status: int = 200
) -> web.Response:
    token = request.cookies.get(_form_cookie_name(request)) or new_token()
    notice = {
        "idle": "You were logged out after 10 minutes without activity.",
        "ended": "Your session is over. Please log in again.",
        "logout": "You are logged out.",
    }.get(why, "")
    context = {"target": target, "login": login, "problem": problem, "notice": notice, "form_token": token}
    response = await render(request, "login.html", context, status=status)
    response.set_cookie(
        _form_cookie_name(request),
        token,
        httponly=True,
        samesite="Strict",
        secure=is_https(request),
        path="/login",
    )
    return response


def _login_key(login: str, address: str) -> str:
    return f"{address} {login.casefold()}"


def _form_cookie_name(request: web.Request) -> str:
    return request.app[SESSIONS].cookie_name + "_form"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


ROUTES = [
    web.get("/login", show_login),
    web.post("/login", log_in),
    web.post("/logout", log_out),
    web.get("/session", show_session),
    web.post("/session/keep", keep_session),
]
