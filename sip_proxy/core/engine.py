"""The exchange as one object: bytes and a clock value in; bytes, events and a next deadline out.

No method blocks, reads a clock or touches a socket. After any call that takes `now`, the driver drains
`take_outputs()` and arms one timer for `next_deadline()`. Instants must not go backwards.
"""

from collections.abc import Callable, Iterable
from typing import Final

from sip_proxy.core.configuration import EngineConfig
from sip_proxy.core.dialog.call_table import CallTable
from sip_proxy.core.dialog.drain import Drain
from sip_proxy.core.directory import Directory
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.framing import FramingError
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.stun import binding_response
from sip_proxy.core.outputs import LiveCall, Output, PhoneTested, Registration, SecurityEventKind, Send
from sip_proxy.core.reception import Reception, answer_malformed
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.registrar.phone_requests import CHECK_SYNC, PhoneRequests
from sip_proxy.core.registrar.phone_tests import PhoneTests
from sip_proxy.core.registrar.registrar import Registrar
from sip_proxy.core.registrar.short_path import ShortPath
from sip_proxy.core.routing.in_dialog import InDialogRouter
from sip_proxy.core.routing.router import Router
from sip_proxy.core.transaction.client import NOBODY

__all__ = ["Engine", "EngineConfig"]

_UDP: Final = Transport.UDP
_KEEP_ALIVE_BYTES: Final = b"\r\n\0 "
_LONGEST_KEEP_ALIVE: Final = 8
_ENDED_BY_ADMINISTRATOR: Final = "The call was ended by the administrator"


class Engine:
    """The sans-IO SIP exchange."""

    def __init__(
        self, *, config: EngineConfig, directory: Directory, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._exchange = Exchange(config=config, directory=directory, random_bytes=random_bytes)
        self._location = LocationTable()
        self._gatekeeper = Gatekeeper(self._exchange, random_bytes)
        hops = Hops(self._exchange, self._location, is_trusted=self._gatekeeper.is_trusted)
        self._calls = CallTable(self._exchange, hops)
        self._drain = Drain(self._exchange, self._calls)
        self._phone_requests = PhoneRequests(self._exchange, hops)
        self._phone_tests = PhoneTests(self._exchange, self._location, self._phone_requests)
        self._registrar = Registrar(self._exchange, self._location, self._registered)
        self._short_path = ShortPath(
            exchange=self._exchange, hops=hops, gatekeeper=self._gatekeeper, registrar=self._registrar
        )
        self._reception = Reception(
            exchange=self._exchange,
            hops=hops,
            gatekeeper=self._gatekeeper,
            registrar=self._registrar,
            router=Router(self._exchange, self._calls, hops, self._location, self._phone_tests),
            in_dialog=InDialogRouter(self._exchange, self._calls, hops, self._gatekeeper),
        )

    @property
    def config(self) -> EngineConfig:
        """What the engine was told at its start."""
        return self._exchange.config

    @property
    def directory(self) -> Directory:
        """The accounts and settings in force; the driver replaces it, or changes it in place."""
        return self._exchange.directory

    @directory.setter
    def directory(self, directory: Directory) -> None:
        self._exchange.directory = directory

    @property
    def wall_offset(self) -> float:
        """Seconds to add to the monotonic clock to have the wall clock; the driver keeps it up to date."""
        return self._exchange.wall_offset

    @wall_offset.setter
    def wall_offset(self, wall_offset: float) -> None:
        self._exchange.wall_offset = wall_offset

    @property
    def journal_available(self) -> bool:
        """While False, new calls are refused with 503, emergency calls excepted."""
        return self._exchange.journal_available

    @journal_available.setter
    def journal_available(self, available: bool) -> None:
        self._exchange.journal_available = available

    @property
    def online(self) -> bool:
        """While False, new calls are refused with 503, emergency calls excepted."""
        return self._exchange.online

    @property
    def is_watched(self) -> bool:
        """While False, nobody wants to know how calls go on, and no `CallChanged` is handed out."""
        return self._exchange.is_watched

    @is_watched.setter
    def is_watched(self, is_watched: bool) -> None:
        self._exchange.is_watched = is_watched

    def is_trusted(self, host: str, now: float) -> bool:
        """Tell whether an account has lately proved itself from this IP address."""
        return self._gatekeeper.is_trusted(host, now)

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take one datagram, or one framed message of a stream. Never raises because of what is in it."""
        if flow.transport is not _UDP:
            self._exchange.open_flows.add(flow)
        beginning = data[:4]
        if beginning == b"REGI":
            if b"\r\nAuthorization:" in data and self._short_path.take(data, flow, now):
                return
        elif beginning == b"ACK " and self._reception.is_stray_ack(data):
            return
        if len(data) <= _LONGEST_KEEP_ALIVE and not data.strip(_KEEP_ALIVE_BYTES):
            return
        try:
            message = parse_message(data)
        except MalformedMessage as error:
            answer = None if flow.transport.is_reliable else binding_response(data, *flow.remote)
            if answer is not None:
                self._exchange.emit(Send(flow, answer))
            else:
                self._exchange.report(SecurityEventKind.MALFORMED_MESSAGE, flow, "", error.reason)
            return
        if isinstance(message, Request):
            self._reception.take_request(message, flow, now)
        elif isinstance(message, Response):
            self._reception.take_response(message, flow, now)

    def framing_failed(self, error: FramingError, flow: Flow, now: float) -> None:
        """A stream can't be cut into messages any further: give a last answer, if anybody can be answered."""
        self._exchange.report(SecurityEventKind.MALFORMED_MESSAGE, flow, "", str(error))
        try:
            message = parse_message(error.head)
        except MalformedMessage:
            return
        if isinstance(message, Request):
            answer_malformed(self._exchange, message, flow, MalformedMessage(str(error), status=error.status))

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone, and with it the bindings that were reached over it."""
        self._exchange.open_flows.discard(flow)
        self._exchange.layer.connection_lost(flow, now)
        self._registrar.flow_closed(flow, now)

    def unable_to_send(self, data: bytes, to: Flow | Destination, now: float) -> None:
        """This message could not be sent: its transaction fails as 503 (RFC 3261 §17.1.4, §16.9)."""
        if len(data) > _LONGEST_KEEP_ALIVE:
            self._exchange.layer.send_failed(data, to, now)

    def next_deadline(self) -> float | None:
        """Return the instant at which `expire` must be called, or None."""
        timers = self._exchange.timers.next_deadline()
        bindings = self._location.next_deadline()
        if timers is None or bindings is None:
            return bindings if timers is None else timers
        return timers if timers < bindings else bindings

    def expire(self, now: float) -> None:
        """Run every timer that is due."""
        self._exchange.timers.expire(now)
        self._registrar.expire(now)

    def take_outputs(self) -> list[Output]:
        """Hand out what has come up since the last call, in order."""
        outputs = self._exchange.outputs
        taken = outputs.copy()
        outputs.clear()
        return taken

    def live_calls(self) -> list[LiveCall]:
        """List the calls that are being set up or talked on."""
        return self._calls.live_calls()

    def registrations(self) -> list[Registration]:
        """List all bindings."""
        return self.with_test_results(self._registrar.registrations())

    def with_test_results(self, registrations: Iterable[Registration]) -> list[Registration]:
        """Return these bindings, marked where the phone failed its last tests."""
        out = self._phone_tests.is_out_of_service
        return [
            each._replace(in_service=False) if out(each.number, each.contact) else each
            for each in registrations
        ]

    def test_phone(self, number: str, now: float) -> bool:
        """Send OPTIONS to all phones of a number; each result is a `PhoneTested`. False: it has no phone."""
        return self._phone_tests.test(number, now)

    def directory_changed(self, now: float) -> None:
        """Take note of settings that are not asked for call by call."""
        self._phone_tests.schedule(self._exchange.directory.settings.phone_test_interval_s, now)

    def phone_tests(self, now: float) -> list[PhoneTested]:
        """Return the last test result of every phone that is registered."""
        return self._phone_tests.results(now)

    def reset_phone(self, number: str, now: float) -> bool:
        """Ask all phones of a number to start anew (NOTIFY `check-sync`). False: it has no phone."""
        bindings = self._location.find(number, now)
        for binding in bindings:
            self._phone_requests.send("NOTIFY", number, binding, NOBODY, now, headers=CHECK_SYNC)
        return bool(bindings)

    def end_call(self, call_id: str, now: float) -> bool:
        """End the live call with this `LiveCall.id`: BYE to both sides, CANCEL while it rings."""
        call = self._calls.find_live(call_id)
        if call is None:
            return False
        self._calls.end(call, _ENDED_BY_ADMINISTRATOR, now)
        return True

    def end_all_calls(self, now: float) -> int:
        """End every live call as `end_call` does, but for emergency calls; return how many."""
        return self._calls.end_all(_ENDED_BY_ADMINISTRATOR, now)

    def save_calls(self, now: float) -> None:
        """Hand out all answered calls to be kept, with the last proofs of life: before the exchange stops."""
        self._calls.save_all(now)

    def go_offline(self, drain_s: float | None, now: float) -> None:
        """Take no new calls but emergency calls, and end those in progress after `drain_s` (None: never)."""
        self._drain.go_offline(drain_s, now)

    def go_online(self, now: float) -> None:
        """Take calls again; what is left of a drain time is called off."""
        self._drain.go_online()

    @property
    def offline_ends_at(self) -> float | None:
        """While draining, the instant on the monotonic clock at which the calls in progress will be ended."""
        return self._drain.ends_at

    def restore_call(self, state: str, now: float, *, same_boot: bool) -> None:
        """Take up a call from `CallSaved.state`. `same_boot`: `now` is on the clock that it was saved by."""
        self._calls.restore(state, now, same_boot=same_boot)

    def restore_bindings(self, number: str, state: str, now: float) -> None:
        """Take up the bindings of a number from `BindingsChanged.state`; those that expired are left out.

        Where they came from is trusted as it was: otherwise strangers could have an address silenced before
        the phones there speak again.
        """
        self._registrar.restore(number, state, now)
        for binding in self._location.find(number, now):
            self._gatekeeper.trust(binding.flow.remote[0], number, now)

    def _registered(self, number: str, flow: Flow, now: float) -> None:
        self._calls.owed_byes.pay(number, flow, now)
        self._phone_tests.registered(number, flow, now)
