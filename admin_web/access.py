"""The door: who may come in, what counts as activity, and forms that only our own pages can send."""

import hmac
import secrets
from datetime import timedelta
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from admin_web.keys import SESSION, SESSIONS
from admin_web.log import is_background
from admin_web.session import Session, SessionOver

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD"})


@web.middleware
async def require_login(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only logged-in administrators past the public pages, and keep their session's clock.

    Requests that a page makes by itself (streams, refreshing) need a session too but don't prolong it.
    """
    sessions = request.app[SESSIONS]
    cookie = request.cookies.get(sessions.cookie_name)
    session = sessions.find(cookie)
    if session is not None:
        request[SESSION] = session
    if _is_public(request):
        return await handler(request)
    if session is None:
        return _to_login(request, sessions.why_over(cookie))
    if request.method not in SAFE_METHODS:
        await require_csrf_token(request, session.csrf_token)
    active = not is_background(request)
    if active:
        sessions.touch(session)
    response = await handler(request)
    if active and not response.prepared and sessions.remaining(session) > timedelta(0):
        set_session_cookie(request, response, session)
    return response


async def require_csrf_token(request: web.Request, expected: str) -> None:
    """Raises HTTPForbidden unless the form field or the header carries the token."""
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        field = (await request.post()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else ""
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise web.HTTPForbidden(text="This form is out of date. Go back, load the page again and repeat.")


def set_session_cookie(request: web.Request, response: web.StreamResponse, session: Session) -> None:
    sessions = request.app[SESSIONS]
    response.set_cookie(
        sessions.cookie_name,
        sessions.cookie_value(session),
        httponly=True,
        samesite="Lax",
        secure=is_https(request),
        path="/",
    )


def clear_session_cookie(request: web.Request, response: web.StreamResponse) -> None:
    response.del_cookie(request.app[SESSIONS].cookie_name, path="/")


def is_https(request: web.Request) -> bool:
    """Whether the browser came over https, also through a proxy that ends TLS.

    The header can be forged, but all it does is to make the cookie stricter.
    """
    return request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https"


def safe_next(target: str) -> str:
    """A path on this console to go to after log-in; anything else becomes the front page."""
    if (
        not target.startswith("/")
        or target.startswith(("//", "/login", "/logout"))
        or "\\" in target
        or any(ord(character) < 0x20 or ord(character) == 0x7F for character in target)
    ):
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc else target


def new_token() -> str:
    return secrets.token_urlsafe(24)


def login_url(target: str, *, why: str = "") -> str:
    query = f"next={quote(safe_next(target), safe='/')}" + (f"&why={why}" if why else "")
    return f"/login?{query}"


def _is_public(request: web.Request) -> bool:
    return request.path in {"/login", "/health", "/favicon.ico"} or request.path.startswith("/static/")


def _to_login(request: web.Request, over: SessionOver | None) -> web.Response:
    why = over.value if over else ""
    if request.path in {"/session", "/session/keep", "/live/stream"}:
        # Scripts ask these; they take the page to the log-in themselves.
        return web.json_response({"title": "Not logged in", "status": 401, "why": why}, status=401)
    if "HX-Request" in request.headers:
        # A part of a page can't show the login form: the whole page has to go there.
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        target = shown.path + (f"?{shown.query}" if shown.query else "")
        return web.Response(status=401, headers={"HX-Redirect": login_url(target or "/", why=why)})
    target = request.path_qs if request.method in SAFE_METHODS else "/"
    return web.Response(status=303, headers={"Location": login_url(target, why=why)})
