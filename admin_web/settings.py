"""The console's settings: environment variables, read once into a frozen object."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from yarl import URL


class SettingsError(Exception):
    """A setting is missing or unusable; the text names the variable and says what to do."""


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the console needs to know before it starts."""

    listen: ListenAddress
    billing_url: URL
    exchange_url: URL
    service_token: str = field(repr=False)
    session_secret: str = field(repr=False)
    log_format: LogFormat = LogFormat.CONSOLE
    idle_limit: timedelta = timedelta(minutes=10)
    session_lifetime: timedelta = timedelta(hours=12)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from `environ`.

    Secrets that are not set are made under `TOLLBELL_VAR` at the first start. Raises SettingsError.
    """
    var = Path(environ.get("TOLLBELL_VAR") or "var")
    return Settings(
        listen=_listen_address(environ, "TOLLBELL_ADMIN_HTTP", "127.0.0.1:8080"),
        billing_url=_service_url(environ, "TOLLBELL_BILLING_HTTP", "127.0.0.1:8000"),
        exchange_url=_service_url(environ, "TOLLBELL_CONTROL_HTTP", "127.0.0.1:8060"),
        service_token=_secret(environ, "TOLLBELL_SERVICE_TOKEN", var / "service-token"),
        session_secret=_secret(environ, "TOLLBELL_SESSION_SECRET", var / "session-secret"),
        log_format=_log_format(environ),
    )


def _listen_address(environ: Mapping[str, str], name: str, default: str) -> ListenAddress:
    value = environ.get(name) or default
    host, separator, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"{name} is {value!r}: write it as host:port, for example {default}")
    return ListenAddress(host, int(port))


def _service_url(environ: Mapping[str, str], name: str, default: str) -> URL:
    value = environ.get(name) or default
    if value.startswith(("http://", "https://")):
        url = URL(value)
        if not url.host:
            raise SettingsError(f"{name} is {value!r}: the address has no host")
        return url.origin()
    address = _listen_address(environ, name, default)
    # The same variable tells the service where to listen; "everywhere" is not an address one can connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return URL.build(scheme="http", host=host, port=address.port)


def _log_format(environ: Mapping[str, str]) -> LogFormat:
    value = environ.get("TOLLBELL_LOG") or LogFormat.CONSOLE
    try:
        return LogFormat(value)
    except ValueError:
        raise SettingsError(f"TOLLBELL_LOG is {value!r}: choose console or json") from None


def _secret(environ: Mapping[str, str], name: str, default_path: Path) -> str:
    if value := environ.get(name, "").strip():
        return value
    if given_path := environ.get(f"{name}_FILE"):
        return _read_secret(Path(given_path), f"{name}_FILE")
    if not default_path.exists():
        _create_secret(default_path)
    return _read_secret(default_path, name)


def _read_secret(path: Path, name: str) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path} can't be read: {error.strerror}") from error
    if not value:
        raise SettingsError(f"{name}: {path} is empty; write the secret into it or delete it")
    return value


def _create_secret(path: Path) -> None:
    """Make a random secret. Of several programs at once the first wins, and nobody sees half a file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
    except OSError as error:
        raise SettingsError(
            f"{path} can't be made: {error.strerror}; set TOLLBELL_VAR to a writable place"
        ) from error
