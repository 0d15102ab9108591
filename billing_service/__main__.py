"""`python -m billing_service`: the billing service and what belongs to running it."""

import argparse
import gc
import getpass
import json
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from billing_service.call_files.formats import FORMATS
from billing_service.domain.errors import DomainError
from billing_service.domain.permissions import Role
from billing_service.errors import BadSetting, BillingServiceError, UnableToStart
from billing_service.log_setup import configure_logging
from billing_service.private_file import private_file
from billing_service.settings import Settings
from billing_service.storage.embedded_postgres import EmbeddedPostgres, server_directory
from billing_service.storage.migrations import DATABASE_TIMEOUT_S, migrate, require_current, wait_for_database
from billing_service.storage.unit_of_work import Database

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; say in one line why when it fails."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment()
        configure_logging(settings.log_format)
        command: Callable[[Settings, argparse.Namespace], None] = options.command
        command(settings, options)
    except BadSetting as error:
        print(f"billing_service: {error}", file=sys.stderr)
        return EXIT_BAD_SETTING
    except (BillingServiceError, DomainError) as error:
        print(f"billing_service: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m billing_service",
        description="Tollbell's billing service. Settings come from TOLLBELL_… environment variables.",
    )
    parser.set_defaults(command=_serve)
    commands = parser.add_subparsers(metavar="COMMAND")
    commands.add_parser("serve", help="serve the REST API (the default)").set_defaults(command=_serve)
    commands.add_parser("postgres", help="run the embedded database server in the foreground").set_defaults(
        command=_postgres
    )
    commands.add_parser("migrate", help="bring the database's schema up to date").set_defaults(
        command=_migrate
    )
    commands.add_parser(
        "sample-data", help="fill an empty database with customers, plans, calls and bills"
    ).set_defaults(command=_sample_data)
    load = commands.add_parser("import-calls", help="import a file of calls; safe to repeat")
    load.add_argument("file", type=Path, help="the file, plain or gzipped")
    load.add_argument("--format", choices=FORMATS, help="unless the file is to tell by itself")
    load.add_argument(
        "--timezone",
        type=_zone,
        help="of times without offset; default: that of billing",
    )
    load.add_argument("--dry-run", action="store_true", help="say what would come of it, and store nothing")
    load.set_defaults(command=_import_calls)
    close = commands.add_parser(
        "close-bills", help="close every billing period that is over, beside other closers if there are any"
    )
    close.add_argument("--as-of", type=_instant, help="up to this instant (RFC 3339); default: now")
    close.add_argument("--workers", type=_count, default=1, help="processes that share the work")
    close.add_argument("--at-once", type=_count, help="accounts in one transaction; default: 250")
    close.set_defaults(command=_close_bills)
    create = commands.add_parser("create-administrator", help="add somebody who may use the admin console")
    create.add_argument("login")
    create.add_argument("--name", default="", help="the full name")
    create.add_argument(
        "--role",
        choices=[role.value for role in Role],
        default=Role.ADMINISTRATOR.value,
        help="what the administrator may do (default: everything)",
    )
    create.add_argument(
        "--draw-password", action="store_true", help="draw a password and print it, instead of asking for one"
    )
    create.set_defaults(command=_create_administrator)
    return parser


# What only one command needs is imported by that command: `postgres` starts in half the time without aiohttp.


def _serve(settings: Settings, _: argparse.Namespace) -> None:
    from billing_service.app import serve

    serve(settings)


def _postgres(settings: Settings, _: argparse.Namespace) -> None:
    if not settings.uses_embedded_database:
        raise UnableToStart("TOLLBELL_DATABASE_URL is set, so there is no embedded database to run")
    server = EmbeddedPostgres(server_directory(settings.var))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.request_stop())
    server.start()
    if server.wait() != 0:
        raise UnableToStart(f"the database server ended; see {server.directory / 'log'}")


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    database = Database.at(settings.database_url, threads=1)
    try:
        wait_for_database(database.engine, timeout_s=DATABASE_TIMEOUT_S)
        migrate(database.engine)
    finally:
        database.close()


def _create_administrator(settings: Settings, options: argparse.Namespace) -> None:
    from billing_service.use_cases.administrators import create_administrator

    if options.draw_password:
        password = secrets.token_urlsafe(12)
    elif sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise UnableToStart("the passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    database = Database.at(settings.database_url, threads=1)
    try:
        require_current(database.engine)
        database.run_blocking(
            lambda session: create_administrator(
                session,
                login=options.login,
                name=options.name,
                password=password,
                role=Role(options.role),
                actor="command line",
                at=datetime.now(UTC),
            )
        )
    finally:
        database.close()
    if options.draw_password:
        print(json.dumps({"login": options.login.lower(), "password": password}))


def _import_calls(settings: Settings, options: argparse.Namespace) -> None:
    from billing_service.import_command import import_file

    import_file(
        settings,
        options.file,
        name=options.format,
        file_zone=options.timezone or settings.timezone,
        dry_run=options.dry_run,
    )


def _close_bills(settings: Settings, options: argparse.Namespace) -> None:
    from billing_service.jobs.closing_workers import close_beside_workers
    from billing_service.use_cases.close_bills import ACCOUNTS_AT_ONCE, close_due

    # All that is loaded by now stays: the collector need not look at it again and again.
    gc.freeze()
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    as_of = options.as_of or datetime.now(UTC)
    database = Database.at(settings.database_url, threads=1)
    try:
        require_current(database.engine)
        closing = close_beside_workers(
            lambda: close_due(
                database,
                as_of=as_of,
                currency=settings.currency,
                zone=settings.timezone,
                should_stop=lambda: bool(stopping),
                at_once=options.at_once or ACCOUNTS_AT_ONCE,
            ),
            options.workers - 1,
            as_of=as_of,
            should_stop=lambda: bool(stopping),
        )
    finally:
        database.close()
    log.info("closing_done", as_of=as_of.isoformat(), bills=len(closing.bills))


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no instant such as 2026-11-21T20:00:00Z") from error
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} needs an offset, such as Z or +01:00")
    return instant.astimezone(UTC)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("between 1 and 1000")
    return int(text)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(f"{name!r} is no IANA time zone such as Europe/Zurich") from error


def _sample_data(settings: Settings, _: argparse.Namespace) -> None:
    from billing_service.use_cases.load_sample_data import load_sample_data

    database = Database.at(settings.database_url, threads=1)
    try:
        require_current(database.engine)
        # Made first: once the data is stored, the passwords exist nowhere else.
        with private_file(settings.var / "sample-credentials.json") as file:
            credentials = load_sample_data(
                database,
                now=datetime.now(UTC),
                currency=settings.currency,
                zone=settings.timezone,
                realm=settings.sip_domain,
            )
            if credentials is not None:
                file.write(json.dumps(credentials.to_document(), indent=2) + "\n")
    finally:
        database.close()
    log.info("sample_data_there_already" if credentials is None else "sample_data_loaded")


if __name__ == "__main__":
    sys.exit(main())
