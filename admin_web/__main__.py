"""`python -m admin_web`: the administrators' console."""

import asyncio
import errno
import os
import signal
import sys

import structlog
from aiohttp import web

from admin_web.app import make_app
from admin_web.log import AccessLogger, configure_logging
from admin_web.settings import Settings, SettingsError, load_settings

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2
SHUTDOWN_S = 5.0


def main() -> int:
    """Run until SIGINT or SIGTERM; the exit status is 2 for a setting without sense, 1 if it can't start."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        print(f"admin_web: {error}", file=sys.stderr)
        return EXIT_BAD_SETTING
    configure_logging(settings.log_format)
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        print(f"admin_web: {_explain(error, settings)}", file=sys.stderr)
        return EXIT_FAILED
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    runner = web.AppRunner(
        make_app(settings), access_log_class=AccessLogger, shutdown_timeout=SHUTDOWN_S, handle_signals=False
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.listen.host, settings.listen.port).start()
        log = structlog.stdlib.get_logger("admin_web")
        log.info("console_ready", url=f"http://{_shown_address(runner, settings)}/")
        await stop.wait()
        log.info("console_stopping")
    finally:
        await runner.cleanup()


def _shown_address(runner: web.AppRunner, settings: Settings) -> str:
    host, port = runner.addresses[0][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explain(error: OSError, settings: Settings) -> str:
    where = f"{settings.listen} (TOLLBELL_ADMIN_HTTP)"
    if error.errno == errno.EADDRINUSE:
        return f"the port is taken: another program listens on {where}"
    return f"can't listen on {where}: {error.strerror or error}"


if __name__ == "__main__":
    sys.exit(main())
