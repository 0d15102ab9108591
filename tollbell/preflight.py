"""What must be true before anything starts, so that a refusal names the setting and not a stack of calls."""

import contextlib
import difflib
import errno
import fcntl
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from tollbell.settings import Address, Settings

KNOWN_SETTINGS = frozenset(
    f"TOLLBELL_{name}"
    for name in (
        "ADMIN_HTTP",
        "BILLING_HTTP",
        "BROKER_URL",
        "CLOSING_TIME",
        "COMPILED",
        "CONTROL_HTTP",
        "CURRENCY",
        "DATABASE_URL",
        "LOG",
        "PHONE_PASSWORD",
        "SAMPLE_DATA",
        "SERVICE_TOKEN",
        "SESSION_SECRET",
        "SIP_DOMAIN",
        "SIP_NAT_KEEP_ALIVE_S",
        "SIP_PING_S",
        "SIP_ROUND_MS",
        "SIP_SESSION_S",
        "SIP_TCP",
        "SIP_TLS",
        "SIP_TLS_CERTIFICATE",
        "SIP_TLS_KEY",
        "SIP_UDP",
        "SIP_WS",
        "SIP_WSS",
        "TIMEZONE",
        "TRACE_MESSAGES",
        "VAR",
        "WEBHOOK_PRIVATE",
    )
)


class UnableToStart(Exception):
    """The system can't start; the text says why and what to do."""


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Warnings about variables that look like settings and are none: a typo would go unnoticed for long."""
    warnings = []
    for name in sorted(environment):
        if name.startswith("TOLLBELL_") and name.removesuffix("_FILE") not in KNOWN_SETTINGS:
            close = difflib.get_close_matches(name, KNOWN_SETTINGS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            warnings.append(f"{name} is not a setting and does nothing{hint}")
    return warnings


@contextlib.contextmanager
def hold_directory(var: Path) -> Iterator[None]:
    """Hold the data directory for this process alone, making it first where it is missing.

    Raises `UnableToStart` when another system runs in it, or nothing can be written there.
    """
    try:
        var.mkdir(parents=True, exist_ok=True)
        lock = (var / "tollbell.lock").open("w")
    except OSError as error:
        raise UnableToStart(
            f"{var} can't be used for data ({error.strerror}); set TOLLBELL_VAR to another directory"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnableToStart(
                f"another Tollbell runs in {var}; stop it, or set TOLLBELL_VAR to another directory"
            ) from None
        yield


def check_addresses(settings: Settings) -> None:
    """See that every address is free, and that no two parts are given the same one.

    Raises `UnableToStart` for the first that can't be used.
    """
    with contextlib.ExitStack() as stack:
        for name, address, kind in (
            ("TOLLBELL_BILLING_HTTP", settings.billing_http, socket.SOCK_STREAM),
            ("TOLLBELL_CONTROL_HTTP", settings.control_http, socket.SOCK_STREAM),
            ("TOLLBELL_ADMIN_HTTP", settings.admin_http, socket.SOCK_STREAM),
            ("TOLLBELL_SIP_UDP", settings.sip_udp, socket.SOCK_DGRAM),
            ("TOLLBELL_SIP_TCP", settings.sip_tcp, socket.SOCK_STREAM),
            ("TOLLBELL_SIP_WS", settings.sip_ws, socket.SOCK_STREAM),
        ):
            try:
                # Held until all are checked: two settings with one address meet here, not at the start.
                stack.enter_context(_take(address, kind))
            except OSError as error:
                raise UnableToStart(_refusal(name, address, kind, error)) from error


def _take(address: Address, kind: socket.SocketKind) -> socket.socket:
    family = socket.getaddrinfo(address.host, address.port, type=kind)[0][0]
    taken = socket.socket(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            # As the servers do: a port in TIME_WAIT from the last run is free.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address.host, address.port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
    except OSError:
        taken.close()
        raise
    return taken


def _refusal(name: str, address: Address, kind: socket.SocketKind, error: OSError) -> str:
    protocol = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
    what = f"{protocol} port {address.port} on {address.host} can't be used ({error.strerror})"
    match error.errno:
        case errno.EADDRINUSE:
            remedy = f"stop the program that has it, or set {name} to an address that no other setting has"
        case errno.EACCES:
            remedy = f"ports below 1024 need root; set {name} to a higher one"
        case _:
            remedy = f"set {name} to an address of this machine"
    return f"{what}: {remedy}"
