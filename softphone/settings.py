"""The softphone's settings: the command line, then the environment, then what the sample data left behind."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from softphone.engine.commands import Register, StartUp, Transport

_DEFAULT_SIP_PORT: Final = "5060"
_SAMPLE_CREDENTIALS: Final = "sample-credentials.json"


class SettingsError(Exception):
    """A setting is missing or wrong; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Who this phone is and where its exchange is. `server` is "host:port"."""

    number: str
    password: str = field(repr=False)
    server: str
    domain: str
    transport: Transport
    display_name: str = ""
    log_path: Path | None = None
    trace: bool = False

    def start_up(self) -> StartUp:
        """The engine's first command: on the loopback interface when the exchange is there, else on every
        interface.
        """
        return StartUp(
            bind_address="127.0.0.1" if _is_loopback(self.server) else "",
            transport=self.transport,
            trace=self.trace,
        )

    def register(self) -> Register:
        return Register(
            number=self.number,
            password=self.password,
            server=self.server,
            domain=self.domain,
            display_name=self.display_name,
        )


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said; None where it said nothing."""

    number: str
    server: str | None = None
    transport: Transport = Transport.UDP
    domain: str | None = None
    display_name: str | None = None
    password_file: Path | None = None
    log_file: Path | None = None
    trace: bool = False


def read_settings(options: Options, environment: Mapping[str, str]) -> Settings:
    """Complete the command line from the environment. Raises SettingsError."""
    if not options.number.isdigit():
        raise SettingsError(f"a phone number is digits, such as 0001; not {options.number!r}")
    directory = Path(environment.get("TOLLBELL_VAR") or "var")
    sample = _sample_phone(directory / _SAMPLE_CREDENTIALS, options.number)
    return Settings(
        number=options.number,
        password=_password(options, environment, sample, directory),
        server=_server(options, environment),
        domain=options.domain or environment.get("TOLLBELL_SIP_DOMAIN") or "tollbell.local",
        transport=options.transport,
        display_name=options.display_name
        if options.display_name is not None
        else sample.get("display_name", ""),
        log_path=options.log_file,
        trace=options.trace,
    )


def _server(options: Options, environment: Mapping[str, str]) -> str:
    listening = environment.get(
        "TOLLBELL_SIP_TCP" if options.transport is Transport.TCP else "TOLLBELL_SIP_UDP"
    )
    server = options.server or listening or f"127.0.0.1:{_DEFAULT_SIP_PORT}"
    host, colon, port = server.rpartition(":")
    if not colon:
        host, port = server, _DEFAULT_SIP_PORT
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"an exchange is written host:port, such as 127.0.0.1:5060; not {server!r}")
    # What an exchange listens on is not always what it can be called by.
    return f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"


def _password(
    options: Options, environment: Mapping[str, str], sample: Mapping[str, str], directory: Path
) -> str:
    file = options.password_file
    if file is None and (named := environment.get("TOLLBELL_PHONE_PASSWORD_FILE")):
        file = Path(named)
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"the password file cannot be read: {error}") from error
    password = environment.get("TOLLBELL_PHONE_PASSWORD") or sample.get("password")
    if not password:
        raise SettingsError(
            f"there is no password for {options.number}: use --password-file FILE or TOLLBELL_PHONE_PASSWORD "
            f"or start the exchange with its sample data ({directory / _SAMPLE_CREDENTIALS} does not know it)"
        )
    return password


def _sample_phone(path: Path, number: str) -> Mapping[str, str]:
    """What the sample data says of a number; empty when there is no sample data or it does not have the
    number.
    """
    try:
        phones = json.loads(path.read_text(encoding="utf-8"))["phones"]
        return next((phone for phone in phones if phone["number"] == number), {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read: {error!r}") from error


def _is_loopback(server: str) -> bool:
    host = server.rpartition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or _resolves_to_loopback(host)


def _resolves_to_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except OSError:
        return False  # the engine will report that the exchange cannot be reached
