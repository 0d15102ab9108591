"""Structured logging: one line per event, for people (console) or machines (json)."""

import logging
import sys

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from admin_web.settings import LogFormat


def configure_logging(log_format: LogFormat) -> None:
    """Send every log line, the libraries' too, to standard error in the chosen form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    final: list[structlog.typing.Processor]
    if log_format is LogFormat.JSON:
        final = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Without this it shows every local variable, passwords in forms among them.
        plain = structlog.dev.plain_traceback
        final = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class AccessLogger(AbstractAccessLogger):
    """A line per request; health checks, static files and refreshing pages would drown the rest."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if response.status < 400 and is_background(request):
            return
        structlog.stdlib.get_logger("admin_web.access").info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            duration_ms=round(time * 1000, 1),
            remote=request.remote,
        )


def is_background(request: web.BaseRequest) -> bool:
    """Whether a program, not a person, made the request: then it is no sign that somebody is at the desk."""
    return (
        request.path in {"/health", "/session", "/live/stream"}
        or request.path.startswith("/static/")
        or "X-Tollbell-Background" in request.headers
    )
