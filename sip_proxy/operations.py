"""What operators ask of the exchange and tell it: the answers and deeds behind the control API."""

import time

import structlog

from sip_proxy.adapters.control.exchange import Health, Information, State
from sip_proxy.adapters.delivery import Delivery
from sip_proxy.adapters.ladder import Ladder, ladder_message
from sip_proxy.adapters.trace import Trace
from sip_proxy.clock import elapsed
from sip_proxy.core.engine import Engine
from sip_proxy.core.outputs import LiveCall, PhoneTested, Registration
from sip_proxy.driver import Driver

VERSION = "0.1.0"

log = structlog.get_logger()


class Operations:
    """The exchange as its control API uses it (`ControlledExchange`)."""

    def __init__(
        self,
        engine: Engine,
        driver: Driver,
        delivery: Delivery,
        trace: Trace,
        *,
        listening: tuple[str, ...],
    ) -> None:
        """`listening` names where phones are served, such as `udp:127.0.0.1:5060`."""
        self._engine = engine
        self._driver = driver
        self._delivery = delivery
        self._trace = trace
        self._listening = listening
        self._started_at = time.time()
        self.is_listening = False

    def health(self) -> Health:
        """Tell how the exchange is."""
        return Health(
            is_ready=self.is_listening,
            directory_version=self._engine.directory.version,
            is_journal_available=self._engine.journal_available,
            undelivered_records=self._delivery.undelivered,
        )

    def information(self) -> Information:
        """Tell what the exchange is."""
        return Information(
            version=VERSION,
            domain=self._engine.config.domain,
            listening=self._listening,
            started_at=self._started_at,
        )

    def state(self) -> State:
        """Tell whether calls are taken, and within which limits."""
        engine, now = self._engine, elapsed()
        ends_at = engine.offline_ends_at
        settings = engine.directory.settings
        return State(
            is_online=engine.online,
            drain_ends_at=None if ends_at is None else ends_at + engine.wall_offset,
            drain_remaining_s=None if ends_at is None else max(0.0, ends_at - now),
            live_calls=len(engine.live_calls()),
            concurrent_call_limit=settings.concurrent_call_limit,
            emergency_numbers=tuple(sorted(settings.emergency_numbers)),
            ring_time_s=settings.ring_time_s,
        )

    def go_offline(self, drain_s: float | None) -> None:
        """Take no new calls; end those in progress after so many seconds."""
        self._driver.operate(lambda now: self._engine.go_offline(drain_s, now), instead=None)
        log.warning("offline", drain_s=drain_s)

    def go_online(self) -> None:
        """Take calls again."""
        self._driver.operate(self._engine.go_online, instead=None)
        log.info("online")

    def live_calls(self) -> list[LiveCall]:
        """List the calls that are being set up or talked on."""
        return self._engine.live_calls()

    def registrations(self) -> list[Registration]:
        """List all bindings."""
        return self._engine.registrations()

    def end_call(self, call_id: str) -> bool:
        """End a live call; False when there is none with this id."""
        return self._driver.operate(lambda now: self._engine.end_call(call_id, now), instead=False)

    def end_all_calls(self) -> int:
        """End all live calls but emergency calls; return how many."""
        ended = self._driver.operate(self._engine.end_all_calls, instead=0)
        log.warning("all_calls_ended", count=ended)
        return ended

    def ladder(self, call_id: str) -> Ladder | None:
        """Return the messages of a call by the id of the live call or its Call-ID; None: none are kept."""
        live = next((call.call_id for call in self._engine.live_calls() if call.id == call_id), call_id)
        messages = self._trace.of_call(live)
        if not messages:
            return None
        numbers = {f"{one.source} {one.transport}": one.number for one in self._engine.registrations()}
        offset = self._engine.wall_offset
        return Ladder(live, [ladder_message(message, offset) for message in messages], numbers)

    def test_phone(self, number: str) -> bool:
        """Test the phones of a number; False when it has none."""
        return self._driver.operate(lambda now: self._engine.test_phone(number, now), instead=False)

    def test_all_phones(self) -> int:
        """Test all phones; return of how many numbers."""
        numbers = {one.number for one in self._engine.registrations()}
        return sum(self.test_phone(number) for number in numbers)

    def phone_tests(self) -> list[PhoneTested]:
        """List the last result of every phone."""
        return self._engine.phone_tests(elapsed())

    def reset_phone(self, number: str) -> bool:
        """Ask the phones of a number to start anew; False when it has none."""
        return self._driver.operate(lambda now: self._engine.reset_phone(number, now), instead=False)
