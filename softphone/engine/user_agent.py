"""The SIP library, configured: the endpoint, its sockets, its accounts.

Everything here runs in the one thread that created the library; a call from any other thread would abort the
process.
"""

from __future__ import annotations

import gc
from typing import Any, Final

import pjsua2

from softphone.engine.audio import CLOCK_RATE_HZ
from softphone.engine.commands import Register, StartUp, Transport
from softphone.engine.library_objects import SipAccount
from softphone.engine.notes import Notes

_USER_AGENT: Final = "Tollbell softphone"
# Wideband first, then what every telephone has. The rest is off: a short offer keeps an INVITE inside one
# datagram (RFC 3261 §18.1.1: beyond 1,300 bytes it would have to go over TCP).
_CODECS: Final = ("G722/16000/1", "PCMU/8000/1", "PCMA/8000/1")
_LIBRARY_TRANSPORTS: Final = {
    Transport.UDP: pjsua2.PJSIP_TRANSPORT_UDP,
    Transport.TCP: pjsua2.PJSIP_TRANSPORT_TCP,
}
# After a failed registration: first soon, then regularly; spread, so that a restarted exchange is not
# stormed.
_FIRST_RETRY_S: Final = 1
_RETRY_S: Final = 5
_RETRY_SPREAD_S: Final = 1
_RETRIED_STATUSES: Final = frozenset({408, 480, 500, 502, 503, 504})


def is_retried(status: int) -> bool:
    """Whether a registration that failed with this status is tried again without being told to."""
    return status in _RETRIED_STATUSES or status >= 600


class UserAgent:
    """The endpoint. `close` must be called, after the last call has gone and every port was dropped."""

    def __init__(self, settings: StartUp) -> None:
        self.settings = settings
        self._endpoint = pjsua2.Endpoint()
        self._endpoint.libCreate()
        self._endpoint.libInit(_endpoint_settings(trace=settings.trace))
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            priority = 255 - _CODECS.index(codec.codecId) if codec.codecId in _CODECS else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)
        self._transport_id = self._endpoint.transportCreate(
            _LIBRARY_TRANSPORTS[settings.transport], _socket_settings(settings.bind_address, settings.port)
        )
        self._endpoint.libStart()

    @property
    def library(self) -> str:
        return f"pjsip {self._endpoint.libVersion().full}"

    @property
    def address(self) -> tuple[str, int]:
        """Where requests reach this engine: host and port."""
        host, _, port = self._endpoint.transportGetInfo(self._transport_id).localName.rpartition(":")
        return host, int(port)

    @property
    def device_out(self) -> Any:
        """The sound device's input port on the bridge.

        The library is built without devices, so it is a clock only.
        """
        return self._endpoint.audDevManager().getPlaybackDevMedia()

    def pump(self, milliseconds: int) -> None:
        """Wait at most this long for something to happen on the network, and deal with it."""
        self._endpoint.libHandleEvents(milliseconds)

    def open_local_account(self, notes: Notes) -> SipAccount:
        """An account without an exchange, for calls straight from one phone to another."""
        host, port = self.address
        settings = self._account_settings(f"sip:{host}:{port}{self._uri_parameters}")
        account = SipAccount(notes, "")
        account.create(settings, make_default=True)
        return account

    def open_account(self, notes: Notes, command: Register) -> SipAccount:
        """An account that registers at once and stays registered.

        Raises pjsua2.Error for text that makes no URI.
        """
        identity = f"<sip:{command.number}@{command.domain}>"
        if command.display_name:
            quoted = command.display_name.replace("\\", "\\\\").replace('"', '\\"')
            identity = f'"{quoted}" {identity}'
        settings = self._account_settings(identity)
        settings.sipConfig.proxies.append(f"sip:{command.server};lr{self._uri_parameters}")
        # Realm "*": the password is for whatever exchange the request was sent to, under any name of its own.
        settings.sipConfig.authCreds.append(
            pjsua2.AuthCredInfo("digest", "*", command.number, 0, command.password)
        )
        registration = settings.regConfig
        registration.registrarUri = f"sip:{command.domain}"
        registration.timeoutSec = command.expires_s
        registration.firstRetryIntervalSec = _FIRST_RETRY_S
        registration.retryIntervalSec = _RETRY_S
        registration.randomRetryIntervalSec = _RETRY_SPREAD_S
        account = SipAccount(notes, command.number)
        account.create(settings, make_default=True)
        return account

    def close(self) -> None:
        """Destroy the library.

        What Python still holds of it must be gone by now, so the garbage goes first.
        """
        gc.collect()
        # Calls and registration have said their farewells; without this the library waits a second for its
        # own.
        self._endpoint.libDestroy(pjsua2.PJSUA_DESTROY_NO_NETWORK)

    @property
    def _uri_parameters(self) -> str:
        return ";transport=tcp" if self.settings.transport is Transport.TCP else ""

    def _account_settings(self, identity: str) -> Any:
        settings = pjsua2.AccountConfig()
        settings.idUri = identity
        settings.sipConfig.transportId = (
            self._transport_id if self.settings.transport is Transport.UDP else -1
        )
        settings.mediaConfig.transportConfig = _socket_settings(self.settings.bind_address, 0)
        return settings


def _endpoint_settings(*, trace: bool) -> Any:
    settings = pjsua2.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.uaConfig.userAgent = _USER_AGENT
    settings.logConfig.level = settings.logConfig.consoleLevel = 4 if trace else 3
    settings.logConfig.msgLogging = 1 if trace else 0
    settings.medConfig.clockRate = CLOCK_RATE_HZ
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    return settings


def _socket_settings(address: str, port: int) -> Any:
    settings = pjsua2.TransportConfig()
    settings.port = port
    settings.boundAddress = address
    return settings
