"""Real phones call each other at random for a while: the bills equal what their own users noted."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from softphone.engine import commands, events
from softphone.engine.client import EngineTimeoutError
from softphone.engine.events import CallState, CallStateChanged
from tests.support.ledger import calls_of, open_call_total
from tests.support.softphone import Phone
from tests.support.subscribers import Subscriber
from tests.support.system import System, eventually

# Minutes long: `make soak` runs it, `make test` does not.
pytestmark = pytest.mark.soak

PHONES = 6
CALLING_FOR_S = 15
PRICE_OF_A_SHORT_CALL = Decimal("0.46")


@dataclass(slots=True)
class Notes:
    """What the user of one phone saw of the calls that they made."""

    connected: int = 0
    refused: int = 0
    given_up: int = 0
    talked_s: list[float] = field(default_factory=list)

    @property
    def attempts(self) -> int:
        return self.connected + self.refused + self.given_up


class User:
    """Somebody at a phone: takes calls when idle, and makes one now and then."""

    def __init__(self, phone: Phone, others: list[str], dice: random.Random) -> None:
        self.notes = Notes()
        self._phone = phone
        self._others = others
        self._dice = dice
        self.error: BaseException | None = None

    def use(self, until: float) -> None:
        """Go on until that instant; then finish the call that goes on."""
        try:
            while time.monotonic() < until:
                if not self._take_call(self._dice.uniform(0.1, 1)):
                    self._make_call()
            while self._take_call(1.0):
                pass
        except BaseException as error:  # noqa: BLE001  # raised again where the test runs
            self.error = error

    def _take_call(self, patience_s: float) -> bool:
        try:
            self._phone.wait_for_ring(timeout_s=patience_s)
        except EngineTimeoutError:
            return False
        self._phone.engine.send(commands.Answer(call=self._phone.call_name or ""))
        self._phone.wait_for_end(timeout_s=20)  # the caller hangs up, whether it was in time or not
        return True

    def _make_call(self) -> None:
        phone = self._phone
        phone.call(self._dice.choice(self._others))
        deadline = time.monotonic() + self._dice.uniform(0.5, 2)
        state = self._next_state(deadline)
        while state is not None and state.state not in (CallState.CONNECTED, CallState.ENDED):
            state = self._next_state(deadline)
        if state is not None and state.state is CallState.ENDED:
            self.notes.refused += 1
            return
        answered_at = time.monotonic()
        if state is not None:
            time.sleep(self._dice.uniform(0.2, 1.5))  # they talk
        talked_s = time.monotonic() - answered_at
        end = phone.hang_up()
        # An answer may have crossed the CANCEL: then the library had a call, and has hung it up.
        if state is None and end.status == 487:
            self.notes.given_up += 1
        else:
            self.notes.connected += 1
            self.notes.talked_s.append(talked_s)

    def _next_state(self, deadline: float) -> CallStateChanged | None:
        name = self._phone.call_name
        patience_s = max(0.01, deadline - time.monotonic())
        try:
            return self._phone.wait_for(
                events.CallStateChanged, lambda event: event.call == name, timeout_s=patience_s
            )
        except EngineTimeoutError:
            return None


def test_the_books_equal_the_notes_of_the_users(
    system: System, subscriber: Callable[..., Subscriber], say: Callable[[str], None]
) -> None:
    subscribers = [subscriber() for _ in range(PHONES)]
    numbers = [one.number for one in subscribers]
    with ExitStack() as stack:
        users = []
        for index, one in enumerate(subscribers):
            phone = stack.enter_context(one.phone("udp" if index % 2 else "tcp"))
            phone.register()
            others = [number for number in numbers if number != one.number]
            users.append(User(phone, others, random.Random(index)))
        until = time.monotonic() + CALLING_FOR_S
        threads = [threading.Thread(target=user.use, args=(until,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for user in users:
        if user.error is not None:
            raise user.error
    attempts = sum(user.notes.attempts for user in users)
    eventually(lambda: len(calls_of(system, numbers)) >= attempts, f"{attempts} records")
    calls = calls_of(system, numbers)
    outcomes = Counter(call["outcome"] for call in calls)
    say(f"{PHONES} phones: {attempts} attempts, {len(calls)} records: {dict(outcomes)}")

    assert len(calls) == attempts
    assert sum(user.notes.connected for user in users) > 2 * PHONES
    for number, user in zip(numbers, users, strict=True):
        mine = [call for call in calls if call["caller"] == number]
        answered = [call for call in mine if call["outcome"] == "answered"]
        assert (len(mine), len(answered)) == (user.notes.attempts, user.notes.connected)
        assert open_call_total(system, number) == user.notes.connected * PRICE_OF_A_SHORT_CALL
        billed_s = sum(call["duration_us"] for call in answered) / 1e6
        assert sum(user.notes.talked_s) <= billed_s + 0.05 * len(answered)
        assert billed_s <= sum(user.notes.talked_s) + 3.0 * len(answered)  # a busy machine is slow to hang up
