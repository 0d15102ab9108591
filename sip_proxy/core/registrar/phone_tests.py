"""Testing phones: does the phone answer, and how fast?

A phone is sent OPTIONS (RFC 3261 §11), at an administrator's wish or on a schedule. One that fails several
times in a row is out of service: calls to it are refused at once instead of ringing nowhere. It is asked
again every minute, and whenever it registers, and is back as soon as it answers.
"""

from math import ceil
from typing import Final

from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Flow
from sip_proxy.core.message.message import Response
from sip_proxy.core.outputs import PhoneTested
from sip_proxy.core.registrar.binding import Binding
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.registrar.phone_requests import PhoneRequests
from sip_proxy.core.transaction.client import ClientTransaction, RequestFailure
from sip_proxy.core.transaction.timers import Timer

_TICK_S: Final = 1.0
_RETEST_S: Final = 60.0


class PhoneTests:
    """Tests phones, and remembers how each did."""

    __slots__ = (
        "_began_at", "_exchange", "_failures", "_interval_s", "_last", "_location", "_requests", "_retest_at",
        "_round", "_tested", "_timer",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, location: LocationTable, requests: PhoneRequests) -> None:
        self._exchange = exchange
        self._location = location
        self._requests = requests
        self._last: dict[tuple[str, str], PhoneTested] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._interval_s = 0.0
        self._began_at = 0.0
        self._retest_at = 0.0
        self._round: list[str] = []
        self._tested = 0
        self._timer: Timer | None = None

    def test(self, number: str, now: float) -> bool:
        """Test all phones of a number; False when it has none. Results are handed out as `PhoneTested`."""
        bindings = self._location.find(number, now)
        for binding in bindings:
            probe = _Probe(self, number, binding, now)
            if not self._requests.send("OPTIONS", number, binding, probe, now):
                probe.finish(RequestFailure.TRANSPORT_ERROR.value, now, is_answer=False)
        return bool(bindings)

    def schedule(self, interval_s: float, now: float) -> None:
        """Test every phone once in this interval from now on, spread over it evenly; 0: no longer.

        An interval that is in force already goes on as it is.
        """
        if interval_s == self._interval_s:
            return
        self._interval_s = interval_s
        self._begin_round(now)
        self._keep_ticking(now)

    def results(self, now: float) -> list[PhoneTested]:
        """Return the last result of every phone that was tested and is still registered."""
        self._forget_the_gone(now)
        return list(self._last.values())

    def is_out_of_service(self, number: str, contact: str) -> bool:
        """Tell whether a phone failed its last tests."""
        return self._failures.get((number, contact), 0) >= self._exchange.config.phone_test_failures

    def registered(self, number: str, flow: Flow, now: float) -> None:
        """A phone of this number registered: if it failed before, see whether it is back."""
        if self._failures and any(key[0] == number for key in self._failures):
            self.test(number, now)

    def take_result(
        self, number: str, binding: Binding, *, ok: bool, status: int, sent_at: float, now: float
    ) -> None:
        """A test has ended."""
        key = (number, binding.contact)
        if ok:
            self._failures.pop(key, None)
        else:
            self._failures[key] = self._failures.get(key, 0) + 1
        result = PhoneTested(
            number=number,
            contact=binding.contact,
            ok=ok,
            status=status,
            round_trip_s=now - sent_at if ok else None,
            at=self._exchange.wall(now),
            in_service=not self.is_out_of_service(*key),
        )
        self._last[key] = result
        self._exchange.emit(result)
        self._keep_ticking(now)

    def on_timer(self, event: int, now: float) -> None:
        """Test what is due."""
        self._timer = None
        if self._interval_s > 0:
            self._go_on_with_round(now)
        if now >= self._retest_at:
            self._retest_at = now + _RETEST_S
            self._forget_the_gone(now)
            for number in sorted({number for number, _ in self._failures}):
                self.test(number, now)
        self._keep_ticking(now)

    def _begin_round(self, now: float) -> None:
        self._began_at = now
        self._tested = 0
        self._round = [number for number, _ in self._location.items()] if self._interval_s > 0 else []

    def _go_on_with_round(self, now: float) -> None:
        elapsed_s = now - self._began_at
        due = min(len(self._round), ceil(len(self._round) * elapsed_s / self._interval_s))
        for number in self._round[self._tested : due]:
            self.test(number, now)
        self._tested = due
        if elapsed_s >= self._interval_s:
            self._forget_the_gone(now)
            self._begin_round(now)

    def _forget_the_gone(self, now: float) -> None:
        """Phones that are no longer registered have no result."""
        for key in list(self._last):
            number, contact = key
            if all(binding.contact != contact for binding in self._location.find(number, now)):
                del self._last[key]
                self._failures.pop(key, None)

    def _keep_ticking(self, now: float) -> None:
        """One timer, while there is a schedule or somebody to ask again."""
        if self._timer is None and (self._interval_s > 0 or self._failures):
            if self._retest_at <= now:
                self._retest_at = now + _RETEST_S
            self._timer = self._exchange.timers.start(_TICK_S, self, 0, now)


class _Probe:
    """An OPTIONS on its way to a phone."""

    __slots__ = ("_binding", "_is_done", "_number", "_sent_at", "_tests")

    def __init__(self, tests: PhoneTests, number: str, binding: Binding, now: float) -> None:
        self._tests = tests
        self._number = number
        self._binding = binding
        self._sent_at = now
        self._is_done = False

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Any final answer shows that the phone is there, whatever it thinks of OPTIONS."""
        if response.status >= 200:
            self.finish(response.status, now, is_answer=response.status != RequestFailure.TIMEOUT.value)

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """It didn't answer in 64*T1, or can't be reached."""
        self.finish(failure.value, now, is_answer=False)

    def transaction_ended(self) -> None:
        """Nothing to forget."""

    def finish(self, status: int, now: float, *, is_answer: bool) -> None:
        """Tell the result, once."""
        if not self._is_done:
            self._is_done = True
            self._tests.take_result(
                self._number, self._binding, ok=is_answer, status=status, sent_at=self._sent_at, now=now
            )
