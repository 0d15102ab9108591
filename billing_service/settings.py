"""The settings of the billing service, read once from environment variables."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import Enum
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from billing_service.domain.money import Currency
from billing_service.errors import BadSetting
from billing_service.storage.embedded_postgres import database_url
from billing_service.storage.engine import database_url_from

T = TypeVar("T")

# A host name or an IP address as a SIP URI writes it; it also stands in quotes, as the digest realm.
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", re.ASCII)


class LogFormat(Enum):
    """How log lines look: for people or for collectors."""

    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 takes any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. What administrators may change at run time is in the database instead."""

    var: Path
    database_url: URL
    uses_embedded_database: bool
    http: Address
    sip_domain: str
    service_token: str | None
    """None: it is in the file `service-token` under `var`, made at the first start."""
    timezone: ZoneInfo
    currency: Currency
    closing_time: time
    """When, in the billing time zone, the daily closing runs."""
    log_format: LogFormat
    broker_url: str | None = None
    """None: there is no broker, and everything goes straight into the database."""
    webhook_private: bool = True
    """Whether webhooks may lead to addresses that are not on the public internet."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; a secret may be given as `NAME_FILE`, the name of a file that holds it.

        Raises BadSetting, naming the variable, for a value that cannot be used.
        """
        source = _Environment(environment)
        var = source.read("TOLLBELL_VAR", "./var", Path)
        own_database = source.secret("TOLLBELL_DATABASE_URL")
        broker = source.secret("TOLLBELL_BROKER_URL")
        return cls(
            var=var.absolute(),
            database_url=(
                database_url(var)
                if own_database is None
                else source.check("TOLLBELL_DATABASE_URL", own_database, database_url_from)
            ),
            uses_embedded_database=own_database is None,
            http=source.read("TOLLBELL_BILLING_HTTP", "127.0.0.1:8000", parse_address),
            sip_domain=source.read("TOLLBELL_SIP_DOMAIN", "tollbell.local", _parse_domain),
            service_token=source.secret("TOLLBELL_SERVICE_TOKEN"),
            timezone=source.read("TOLLBELL_TIMEZONE", "UTC", _parse_zone),
            currency=source.read("TOLLBELL_CURRENCY", "USD", Currency.of),
            closing_time=source.read("TOLLBELL_CLOSING_TIME", "00:00", _parse_time),
            log_format=source.read("TOLLBELL_LOG", "console", _parse_log_format),
            broker_url=None if broker is None else source.check("TOLLBELL_BROKER_URL", broker, _parse_broker),
            webhook_private=source.read("TOLLBELL_WEBHOOK_PRIVATE", "yes", _parse_yes),
        )


def parse_address(value: str) -> Address:
    """Read `host:port` or `[IPv6 address]:port`; raise ValueError for anything else."""
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address is written in brackets: [::1]:8000")
    if not (colon and host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536):
        raise ValueError("it is not host:port, such as 127.0.0.1:8000")
    return Address(host, int(port))


@dataclass(frozen=True, slots=True)
class _Environment:
    values: Mapping[str, str]

    def read(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        return self.check(name, self.values.get(name) or default, parse)

    def check(self, name: str, value: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(value)
        except (ValueError, BadSetting) as error:
            raise BadSetting(f"{name}: {error}") from error

    def secret(self, name: str) -> str | None:
        file = self.values.get(f"{name}_FILE")
        if file and self.values.get(name):
            raise BadSetting(f"{name}: set either {name} or {name}_FILE, not both")
        if not file:
            return self.values.get(name) or None
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"{name}_FILE: {file} cannot be read: {error}") from error
        if not value:
            raise BadSetting(f"{name}_FILE: {file} is empty")
        return value


def _parse_domain(value: str) -> str:
    # As it is, capitals included: the exchange uses it the same way, and digests know no case folding.
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise ValueError("it is not a host name such as tollbell.local")
    return value


def _parse_zone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not an IANA time zone such as Europe/Zurich") from error


def _parse_time(value: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("it is not a time of day such as 00:00")
    return time.fromisoformat(value)


def _parse_broker(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        # Not the value itself: it may hold a password.
        raise ValueError("it is not a broker's address such as amqp://user:password@host/vhost")
    return value


def _parse_yes(value: str) -> bool:
    if value not in ("yes", "no"):
        raise ValueError("it is neither yes nor no")
    return value == "yes"


def _parse_log_format(value: str) -> LogFormat:
    try:
        return LogFormat(value)
    except ValueError:
        raise ValueError("it is neither console nor json") from None
