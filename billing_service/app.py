"""The composition root: makes the application from its settings and runs it until it is told to stop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import structlog
from aiohttp import web
from sqlalchemy.orm import Session

from billing_service.errors import UnableToStart
from billing_service.http_api import (
    account_actions,
    administrators,
    api_tokens,
    audit_log,
    bills,
    call_events,
    call_export,
    call_records,
    calls,
    closing_runs,
    corrected_bills,
    customers,
    dead_letters,
    directory,
    document,
    health,
    imports,
    ledger,
    payments,
    phone_accounts,
    phone_bills,
    plans,
    price_preview,
    print_runs,
    printed_bills,
    rate_sheets,
    rejected_records,
    sign_in,
    system,
    taxes,
    webhooks,
)
from billing_service.http_api.authentication import authentication
from billing_service.http_api.bodies import LARGEST_BODY
from billing_service.http_api.operations import add_operations
from billing_service.http_api.problems import problem_middleware
from billing_service.http_api.services import SERVICES, Services
from billing_service.http_api.token_check import TOKENS, TokenCheck
from billing_service.jobs.closing_scheduler import closing_scheduler
from billing_service.jobs.import_runner import ImportRunner
from billing_service.jobs.plan_changes import follow_plan_changes
from billing_service.message_flow import add_intake, add_sending
from billing_service.service_token import read_or_make_token
from billing_service.settings import Settings
from billing_service.storage.change_watch import ChangeWatch
from billing_service.storage.directory_queries import count_other_realms
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import DATABASE_TIMEOUT_S, require_current, wait_for_database
from billing_service.storage.triggers import DIRECTORY_CHANNEL
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.rate_call import CompiledPlans

SHUTDOWN_TIMEOUT_S = 10.0
# In the order of the document.
OPERATION_MODULES = (
    health,
    system,
    sign_in,
    customers,
    phone_accounts,
    account_actions,
    plans,
    rate_sheets,
    price_preview,
    calls,
    call_export,
    rejected_records,
    call_events,
    phone_bills,
    imports,
    bills,
    corrected_bills,
    printed_bills,
    print_runs,
    closing_runs,
    payments,
    ledger,
    taxes,
    administrators,
    api_tokens,
    audit_log,
    webhooks,
    dead_letters,
    directory,
    call_records,
    document,
)

log = structlog.get_logger(__name__)


def make_app(
    settings: Settings,
    *,
    token: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    closes_daily: bool = False,
    sends_events: bool = False,
) -> web.Application:
    """Return the application, whose database connections last as long as it runs.

    With `closes_daily` it also closes bills: what is due when it starts, then every day. With `sends_events`
    it sends what is in the outbox.
    """
    app = web.Application(
        client_max_size=LARGEST_BODY, middlewares=[problem_middleware, authentication(token)]
    )
    add_operations(app, [module.operations for module in OPERATION_MODULES])
    app[TOKENS] = TokenCheck()
    app[sign_in.FAILED_LOGINS] = sign_in.FailedLogins()
    app[sign_in.HASHING] = asyncio.Semaphore(sign_in.MOST_AT_ONCE)
    app[SERVICES] = Services(
        settings=settings,
        database=Database.at(settings.database_url),
        plans=CompiledPlans(),
        now=now,
        started_at=now(),
    )
    app[directory.WATCH] = ChangeWatch(settings.database_url, DIRECTORY_CHANNEL)
    app.cleanup_ctx.append(_database)
    app.cleanup_ctx.append(_directory_watch)
    if closes_daily:
        app.cleanup_ctx.append(_daily_closing)
        app.cleanup_ctx.append(_plan_changes)
    app[imports.IMPORTS] = ImportRunner(settings, plans=app[SERVICES].plans, now=now)
    app.cleanup_ctx.append(_imports)
    add_intake(app)
    if sends_events:
        add_sending(app)
    app.on_shutdown.append(_release_waiters)
    return app


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way.

    Raises UnableToStart when the port is taken, the database stays away or its schema is another version's.
    """
    token = settings.service_token or read_or_make_token(settings.var / "service-token")
    await asyncio.to_thread(_check_database, settings)
    app = make_app(settings, token=token, closes_daily=True, sends_events=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,  # a long poll whose client has gone is over
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    try:
        await _listen(runner, settings)
        log.info("billing_service_started", address=str(settings.http), realm=settings.sip_domain)
        await stop.wait()
        log.info("billing_service_stopping")
    finally:
        await runner.cleanup()
    log.info("billing_service_stopped")


def _check_database(settings: Settings) -> None:
    engine = make_engine(settings.database_url, connections=1)
    try:
        wait_for_database(engine, timeout_s=DATABASE_TIMEOUT_S)
        require_current(engine)
        with Session(engine) as session:
            strangers = count_other_realms(session, settings.sip_domain)
        if strangers:
            log.warning(
                "sip_passwords_of_another_domain",
                accounts=strangers,
                domain=settings.sip_domain,
                hint="phones can't register with these until they get new SIP passwords",
            )
    finally:
        engine.dispose()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    site = web.TCPSite(runner, settings.http.host, settings.http.port)
    try:
        await site.start()
    except OSError as error:
        raise UnableToStart(
            f"cannot listen on {settings.http}: {error.strerror or error}; "
            "choose another address with TOLLBELL_BILLING_HTTP"
        ) from error


async def _database(app: web.Application) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(app[SERVICES].database.close)


async def _imports(app: web.Application) -> AsyncIterator[None]:
    runner = app[imports.IMPORTS]
    runner.start()
    yield
    await runner.close()


async def _directory_watch(app: web.Application) -> AsyncIterator[None]:
    watch = app[directory.WATCH]
    watch.start()
    yield
    await watch.close()


async def _daily_closing(app: web.Application) -> AsyncIterator[None]:
    parts = app[SERVICES]
    scheduler = closing_scheduler(
        parts.database,
        closing_time=parts.settings.closing_time,
        currency=parts.settings.currency,
        zone=parts.settings.timezone,
        now=parts.now,
    )
    scheduler.start()
    yield
    await scheduler.stop()


async def _plan_changes(app: web.Application) -> AsyncIterator[None]:
    parts = app[SERVICES]
    following = asyncio.create_task(follow_plan_changes(parts.database, now=parts.now))
    yield
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


async def _release_waiters(app: web.Application) -> None:
    # A graceful stop must not wait for long polls to end by themselves.
    app[directory.WATCH].wake_all()


def serve(settings: Settings) -> None:
    """Run the service on an event loop of its own; see `run`."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(settings))
