"""The settings that the supervisor itself needs; every part reads its own from the same environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """A setting can't be used; the text names it and says what it should look like."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a part listens: a host (name, IPv4 or IPv6 address) and a port."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        """The host to connect to from this machine: a wildcard is reached over loopback."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    def __str__(self) -> str:
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the supervisor needs to know: where the parts are, and what to start."""

    var: Path
    database_url: str | None
    billing_http: Address
    admin_http: Address
    control_http: Address
    sip_udp: Address
    sip_tcp: Address
    sip_ws: Address
    sip_domain: str
    sample_data: bool

    @property
    def sample_credentials(self) -> Path:
        """The file with the logins and passwords of the sample data."""
        return self.var / "sample-credentials.json"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises `SettingsError` for a value that can't be used.
    """

    def address(name: str, default: str) -> Address:
        return parse_address(environment.get(name) or default, name)

    database_url = environment.get("TOLLBELL_DATABASE_URL") or None
    if "TOLLBELL_DATABASE_URL_FILE" in environment:
        database_url = Path(environment["TOLLBELL_DATABASE_URL_FILE"]).read_text().strip()
    return Settings(
        var=Path(environment.get("TOLLBELL_VAR") or "./var").absolute(),
        database_url=database_url,
        billing_http=address("TOLLBELL_BILLING_HTTP", "127.0.0.1:8000"),
        admin_http=address("TOLLBELL_ADMIN_HTTP", "127.0.0.1:8080"),
        control_http=address("TOLLBELL_CONTROL_HTTP", "127.0.0.1:8060"),
        sip_udp=address("TOLLBELL_SIP_UDP", "0.0.0.0:5060"),
        sip_tcp=address("TOLLBELL_SIP_TCP", "0.0.0.0:5060"),
        sip_ws=address("TOLLBELL_SIP_WS", "127.0.0.1:8088"),
        sip_domain=environment.get("TOLLBELL_SIP_DOMAIN") or "tollbell.local",
        sample_data=_yes_or_no(environment.get("TOLLBELL_SAMPLE_DATA") or "yes", "TOLLBELL_SAMPLE_DATA"),
    )


def parse_address(text: str, name: str) -> Address:
    """Parse `host:port` or `[IPv6]:port`; `name` is the setting to blame."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"{name} is {text!r}; it should be host:port, such as 127.0.0.1:8080")
    return Address(host, int(port))


def _yes_or_no(text: str, name: str) -> bool:
    match text.lower():
        case "yes" | "true" | "1" | "on":
            return True
        case "no" | "false" | "0" | "off":
            return False
        case _:
            raise SettingsError(f"{name} is {text!r}; it should be yes or no")


def current_settings() -> Settings:
    """The settings in this process's environment."""
    return read_settings(os.environ)
