"""The settings of the exchange: environment variables, read once into a frozen object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sip_proxy.secret_file import read_or_create_secret


class SettingsError(ValueError):
    """A setting can't be used; the text names it and says what to do."""


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen: a host name or IP address, and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """SIP over TLS: where to listen, and with which certificate chain and private key (PEM files).

    `websocket` is where browsers connect by `wss:`, if they may.
    """

    listen: ListenAddress
    certificate: Path
    key: Path
    websocket: ListenAddress | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the exchange must know before it starts.

    `ping_interval_s`: how often a phone in a call is asked whether it is still there. `session_interval_s`:
    how long a call may go on without being refreshed, for phones with session timers (RFC 4028).
    `nat_keep_alive_s`: how often a phone behind NAT on UDP gets a few bytes that keep it in reach (0: never).
    `round_s`: how long messages over UDP wait for others under load (0: never). `trace_messages`: how many of
    the last SIP messages are kept for ladders.
    """

    var: Path
    domain: str
    sip_udp: ListenAddress
    sip_tcp: ListenAddress
    sip_tls: TlsSettings | None
    sip_ws: ListenAddress
    control_http: ListenAddress
    billing_url: str
    service_token: str = field(repr=False)
    ping_interval_s: float = 60.0
    session_interval_s: int = 1800
    nat_keep_alive_s: float = 25.0
    round_s: float = 0.06
    trace_messages: int = 10_000
    log_format: LogFormat = LogFormat.CONSOLE


# The realm is sent inside quotes and the domain inside URIs, so it needs to be writable in both as it is.
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[[0-9A-Fa-f:.]+\]\Z")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]+)?\Z", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,7}\Z", re.ASCII)
_LONGEST_S = 86_400
_SHORTEST_SESSION_S = 90  # RFC 4028 §4
# Phones send again what is not answered in 500 ms (RFC 3261 §17.1.1.1).
_LONGEST_ROUND_MS = 200
_WILDCARD_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; the service token is made in `TOLLBELL_VAR` at the first start unless it is set.

    Raises SettingsError.
    """
    var = Path(environment.get("TOLLBELL_VAR") or "var").absolute()
    return Settings(
        var=var,
        domain=_domain(environment),
        sip_udp=_address(environment, "TOLLBELL_SIP_UDP", "0.0.0.0:5060"),
        sip_tcp=_address(environment, "TOLLBELL_SIP_TCP", "0.0.0.0:5060"),
        sip_tls=_tls(environment),
        sip_ws=_address(environment, "TOLLBELL_SIP_WS", "127.0.0.1:8088"),
        control_http=_address(environment, "TOLLBELL_CONTROL_HTTP", "127.0.0.1:8060"),
        billing_url=_service_url(environment, "TOLLBELL_BILLING_HTTP", "127.0.0.1:8000"),
        service_token=_secret(environment, "TOLLBELL_SERVICE_TOKEN", var / "service-token"),
        log_format=read_log_format(environment),
        ping_interval_s=_seconds(environment, "TOLLBELL_SIP_PING_S", 60.0),
        session_interval_s=int(
            _seconds(environment, "TOLLBELL_SIP_SESSION_S", 1800.0, least=_SHORTEST_SESSION_S)
        ),
        nat_keep_alive_s=float(_count(environment, "TOLLBELL_SIP_NAT_KEEP_ALIVE_S", 25)),
        round_s=_milliseconds(environment, "TOLLBELL_SIP_ROUND_MS", 60) / 1000,
        trace_messages=_count(environment, "TOLLBELL_TRACE_MESSAGES", 10_000),
    )


def read_log_format(environment: Mapping[str, str]) -> LogFormat:
    """Read how to log, which is needed before everything else.

    Raises SettingsError.
    """
    value = environment.get("TOLLBELL_LOG") or LogFormat.CONSOLE
    try:
        return LogFormat(value)
    except ValueError:
        raise SettingsError(f"TOLLBELL_LOG is {value!r}; it should be console or json") from None


def read_compiled(environment: Mapping[str, str]) -> bool:
    """Read whether to run what `make compiled` has made, which is needed before it is imported.

    Raises SettingsError.
    """
    value = environment.get("TOLLBELL_COMPILED") or "yes"
    if value not in {"yes", "no"}:
        raise SettingsError(f"TOLLBELL_COMPILED is {value!r}; it should be yes or no")
    return value == "yes"


def _seconds(environment: Mapping[str, str], name: str, default: float, *, least: int = 1) -> float:
    text = environment.get(name)
    if not text:
        return default
    if not _SECONDS.match(text) or not least <= float(text) <= _LONGEST_S:
        raise SettingsError(
            f"{name} is {text!r}; it should be a number of seconds from {least} to {_LONGEST_S}"
        )
    return float(text)


def _milliseconds(environment: Mapping[str, str], name: str, default: int) -> int:
    milliseconds = _count(environment, name, default)
    if milliseconds > _LONGEST_ROUND_MS:
        raise SettingsError(
            f"{name} is {milliseconds}; it should be a number of milliseconds from 0 to {_LONGEST_ROUND_MS}"
        )
    return milliseconds


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not _COUNT.match(text):
        raise SettingsError(f"{name} is {text!r}; it should be a number from 0 to 9999999")
    return int(text)


def _domain(environment: Mapping[str, str]) -> str:
    domain = environment.get("TOLLBELL_SIP_DOMAIN") or "tollbell.local"
    if not _DOMAIN.match(domain):
        raise SettingsError(
            f"TOLLBELL_SIP_DOMAIN is {domain!r}; it should be a host name such as tollbell.local"
        )
    return domain


def _address(environment: Mapping[str, str], name: str, default: str) -> ListenAddress:
    return _parse_address(environment.get(name) or default, name, default)


def _parse_address(text: str, name: str, example: str) -> ListenAddress:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"{name} is {text!r}; it should be host:port, such as {example}")
    return ListenAddress(host, int(port))


def _service_url(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    address = _parse_address(text, name, default)
    # The same setting tells the service where to listen, and "everywhere" is no address to connect to.
    reached_at = _WILDCARD_REACHED_AT.get(address.host, address.host)
    return f"http://{ListenAddress(reached_at, address.port)}"


def _tls(environment: Mapping[str, str]) -> TlsSettings | None:
    files = {}
    for name in ("TOLLBELL_SIP_TLS_CERTIFICATE", "TOLLBELL_SIP_TLS_KEY"):
        if text := environment.get(name):
            files[name] = Path(text)
            if not files[name].is_file():
                raise SettingsError(f"{name} is {text!r}, and there is no such file")
    websocket = environment.get("TOLLBELL_SIP_WSS")
    if not files:
        if websocket:
            raise SettingsError(
                "TOLLBELL_SIP_WSS needs TOLLBELL_SIP_TLS_CERTIFICATE and TOLLBELL_SIP_TLS_KEY"
            )
        return None
    if len(files) == 1:
        raise SettingsError(
            "TOLLBELL_SIP_TLS_CERTIFICATE and TOLLBELL_SIP_TLS_KEY go together; one is missing"
        )
    return TlsSettings(
        listen=_address(environment, "TOLLBELL_SIP_TLS", "0.0.0.0:5061"),
        certificate=files["TOLLBELL_SIP_TLS_CERTIFICATE"],
        key=files["TOLLBELL_SIP_TLS_KEY"],
        websocket=_parse_address(websocket, "TOLLBELL_SIP_WSS", "0.0.0.0:8089") if websocket else None,
    )


def _secret(environment: Mapping[str, str], name: str, default_path: Path) -> str:
    if secret := environment.get(name, "").strip():
        return secret
    given = environment.get(f"{name}_FILE")
    try:
        if given:
            secret = Path(given).read_text(encoding="utf-8").strip()
            if not secret:
                raise SettingsError(f"{name}_FILE: {given} is empty")
            return secret
        return read_or_create_secret(default_path)
    except OSError as error:
        blame = f"{name}_FILE: {given}" if given else f"{name}: {default_path}"
        raise SettingsError(f"{blame} can't be read or made: {error.strerror}") from error
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error
