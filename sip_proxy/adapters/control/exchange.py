"""The exchange as its control API uses it: questions, orders, and the answers to them."""

from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.ladder import Ladder
from sip_proxy.adapters.metrics import Metrics
from sip_proxy.core.outputs import LiveCall, PhoneTested, Registration


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the exchange can switch and bill calls."""

    is_ready: bool
    directory_version: int
    is_journal_available: bool
    undelivered_records: int


@dataclass(frozen=True, slots=True)
class Information:
    """What the exchange is, and where it listens (`udp:127.0.0.1:5060`)."""

    version: str
    domain: str
    listening: tuple[str, ...]
    started_at: float


@dataclass(frozen=True, slots=True)
class State:
    """Whether calls are taken, and within which limits.

    `drain_ends_at` is the instant on the wall clock at which calls in progress will be ended, None when no
    drain time is running; `drain_remaining_s` is the same as a countdown.
    """

    is_online: bool
    drain_ends_at: float | None
    drain_remaining_s: float | None
    live_calls: int
    concurrent_call_limit: int | None
    emergency_numbers: tuple[str, ...]
    ring_time_s: int


class ControlledExchange(Protocol):
    """The exchange, as its control API uses it."""

    def health(self) -> Health:
        """Tell how it is."""

    def information(self) -> Information:
        """Tell what it is."""

    def state(self) -> State:
        """Tell whether it takes calls."""

    def go_offline(self, drain_s: float | None) -> None:
        """Take no new calls; end those in progress after so many seconds (None: let them go on)."""

    def go_online(self) -> None:
        """Take calls again."""

    def live_calls(self) -> list[LiveCall]:
        """List the calls that are being set up or talked on."""

    def end_call(self, call_id: str) -> bool:
        """End a live call; False when there is none with this id."""

    def end_all_calls(self) -> int:
        """End all live calls but emergency calls; return how many."""

    def ladder(self, call_id: str) -> Ladder | None:
        """Return the messages of a call by the id of the live call or its Call-ID; None: none are kept."""

    def registrations(self) -> list[Registration]:
        """List all bindings."""

    def test_phone(self, number: str) -> bool:
        """Test the phones of a number; False when it has none."""

    def test_all_phones(self) -> int:
        """Test all phones; return of how many numbers."""

    def phone_tests(self) -> list[PhoneTested]:
        """List the last result of every phone."""

    def reset_phone(self, number: str) -> bool:
        """Ask the phones of a number to start anew; False when it has none."""


EXCHANGE = web.AppKey("exchange", ControlledExchange)
EVENTS = web.AppKey("events", EventHub)
METRICS = web.AppKey("metrics", Metrics)
SERVICE_TOKEN = web.AppKey("service_token", str)
