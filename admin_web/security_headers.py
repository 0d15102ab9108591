"""Headers of every answer: only our own files run, nobody frames us, nothing private is cached."""

from typing import Final

from aiohttp import web

CONTENT_SECURITY_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # Bootstrap's style sheet carries its small icons (arrows, ticks) as data: images.
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Server": "tollbell",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

ONE_YEAR_S = 31_536_000


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """An `on_response_prepare` signal handler."""
    response.headers.update(HEADERS)
    if request.path.startswith("/static/") and response.status in {200, 206, 304}:
        # Vendored files carry their version in the name, our own a fingerprint in the query.
        lasting = request.path.startswith("/static/vendor/") or "v" in request.query
        response.headers["Cache-Control"] = (
            f"public, max-age={ONE_YEAR_S}, immutable" if lasting else "no-cache"
        )
    else:
        response.headers.setdefault("Cache-Control", "no-store")
