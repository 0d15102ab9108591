"""Logging: structured, one line per event, on standard output; never a secret."""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import Processor

from sip_proxy.settings import LogFormat


def configure_logging(log_format: LogFormat) -> None:
    """Send the log lines of the exchange, and those of its libraries, to standard output in one form."""
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    rendering: Sequence[Processor]
    if log_format is LogFormat.JSON:
        rendering = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    else:
        # Plain tracebacks: others show the values of local variables, passwords among them.
        plain = structlog.dev.plain_traceback
        rendering = (structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain),)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
