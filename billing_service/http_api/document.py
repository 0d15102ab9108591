"""The OpenAPI document of this service, and a page in which a person can read it and try things out."""

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

from billing_service.http_api.answers import JsonObject
from billing_service.http_api.openapi import make_document
from billing_service.http_api.operations import OPERATIONS, Operation, Operations
from billing_service.http_api.system import VERSION

operations = Operations("system")

_STATIC: Final = Path(__file__).with_name("static")
_SWAGGER_UI: Final = "swagger-ui-5.35.0"
_FILES: Final = {
    "swagger-ui.js": (f"{_SWAGGER_UI}.bundle.js", "text/javascript"),
    "swagger-ui.css": (f"{_SWAGGER_UI}.css", "text/css"),
    "start.js": ("start.js", "text/javascript"),
}
# Swagger UI draws with style attributes and with images in its style sheet.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@operations.get("/v1/openapi.json", scope=None, answer=JsonObject)
async def get_openapi(request: web.Request) -> web.Response:
    """Read this document; needs no token."""
    routed: list[Operation] = request.app[OPERATIONS]
    # Made when it is first asked for, beside the loop: it takes longer than all the rest of a start.
    body = await asyncio.to_thread(_document_of, tuple(routed))
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})


@operations.get("/v1/ui", scope=None, documented=False)
async def get_ui(request: web.Request) -> web.Response:
    """Show the document in a browser."""
    return web.Response(body=_file("ui.html"), content_type="text/html", charset="utf-8", headers=_HEADERS)


@operations.get("/v1/ui/{file:swagger-ui[.]js|swagger-ui[.]css|start[.]js}", scope=None, documented=False)
async def get_ui_file(request: web.Request) -> web.Response:
    """Serve a part of that page."""
    name, content_type = _FILES[request.match_info["file"]]
    return web.Response(body=_file(name), content_type=content_type, charset="utf-8", headers=_HEADERS)


@cache
def _document_of(routed: tuple[Operation, ...]) -> bytes:
    document = make_document(routed, title="Tollbell billing", version=VERSION)
    return json.dumps(document, ensure_ascii=False).encode()


@cache
def _file(name: str) -> bytes:
    return (_STATIC / name).read_bytes()
