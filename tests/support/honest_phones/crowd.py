"""Many honest phones on a thread of their own, calling each other."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from tests.support.honest_phones.attempt import Attempt, CallPlan, Hangup
from tests.support.honest_phones.phone import HonestPhone
from tests.support.honest_phones.timers import Timers

Result = TypeVar("Result")

Planner = Callable[[random.Random], CallPlan]


def everyday_plan(dice: random.Random) -> CallPlan:
    """Most calls are answered; some called phones are busy, and some callers lose patience."""
    kind = dice.random()
    if kind < 0.1:
        return CallPlan(ring_s=dice.uniform(0, 0.3), refusal=486)
    if kind < 0.2:
        return CallPlan(ring_s=60, patience_s=dice.uniform(0.1, 1))
    return CallPlan(
        ring_s=dice.uniform(0, 0.4), talk_s=dice.uniform(0, 2), hangs_up=dice.choice(list(Hangup))
    )


def impatient_plan(dice: random.Random) -> CallPlan:
    """The same mixture, where a call whose set-up was cut off rings on for a few seconds only."""
    usual = everyday_plan(dice)
    return replace(usual, patience_s=min(usual.patience_s, 3.0))


class Crowd:
    """Phones with these numbers and passwords, all on one exchange."""

    def __init__(
        self,
        server: tuple[str, int],
        accounts: Mapping[str, str],
        *,
        seed: int,
        plan: Planner = everyday_plan,
        t1_s: float = 0.5,
        domain: str = "tollbell.local",
    ) -> None:
        self.attempts: dict[str, Attempt] = {}
        self._dice = random.Random(seed)
        self._plan = plan
        self._prefix = f"crowd-{seed}-{time.monotonic_ns()}"
        timers = Timers(t1_s)
        self.phones = {
            number: HonestPhone(
                number, password, server=server, domain=domain, timers=timers, attempts=self.attempts
            )
            for number, password in accounts.items()
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        self._calling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Open the sockets and register every phone."""
        self._thread.start()
        self._run(self._open())

    def close(self) -> None:
        """End every phone at once."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start_calling(self, calls_per_s: float) -> None:
        """Begin to make calls between phones drawn by lot, until `stop_calling`."""
        self._run(self._start_calling(calls_per_s))

    def stop_calling(self) -> None:
        """Make no new calls; those that go on do."""
        self._run(self._stop_calling())

    def make_calls(self, count: int, calls_per_s: float) -> list[Attempt]:
        """Make so many calls and return when all are over."""
        before = len(self.attempts)
        self._run(self._make_calls(count, calls_per_s))
        self.wait_until_over()
        return self.all_attempts()[before:]

    def wait_until_over(self, timeout_s: float = 100.0) -> None:
        """Wait until every attempt is over, as far as its caller is concerned, and every phone at rest."""
        self._run(asyncio.wait_for(self._all_over(), timeout_s))
        unexpected = [error for phone in self.phones.values() for error in phone.unexpected]
        assert not unexpected, unexpected

    def all_attempts(self) -> list[Attempt]:
        """Every attempt so far, in the order of their beginnings."""
        return list(self.attempts.values())

    def counts(self) -> Counter[str]:
        """What the callers saw, in words."""
        return Counter(_word(attempt) for attempt in self.all_attempts())

    def _run(self, work: Coroutine[Any, Any, Result], timeout_s: float = 110.0) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        for phone in self.phones.values():
            await loop.create_datagram_endpoint(lambda phone=phone: phone, local_addr=("127.0.0.1", 0))
        await asyncio.gather(*(phone.register() for phone in self.phones.values()))

    async def _close(self) -> None:
        await self._stop_calling()
        for phone in self.phones.values():
            phone.close()
        # Let cancelled tasks and closed sockets have their last turn.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    async def _start_calling(self, calls_per_s: float) -> None:
        assert self._calling is None
        self._calling = asyncio.get_running_loop().create_task(self._make_calls(None, calls_per_s))

    async def _stop_calling(self) -> None:
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)
            self._calling = None

    async def _make_calls(self, count: int | None, calls_per_s: float) -> None:
        made = 0
        while count is None or made < count:
            made += 1
            self._begin()
            await asyncio.sleep(self._dice.expovariate(calls_per_s))

    def _begin(self) -> None:
        caller, callee = self._dice.sample(sorted(self.phones), 2)
        attempt = Attempt(
            call_id=f"{self._prefix}-{len(self.attempts) + 1}",
            caller=caller,
            callee=callee,
            plan=self._plan(self._dice),
            invited_at=asyncio.get_running_loop().time(),
        )
        self.attempts[attempt.call_id] = attempt
        self.phones[caller].begin(attempt)

    async def _all_over(self) -> None:
        for attempt in self.all_attempts():
            await attempt.over.wait()
        for phone in self.phones.values():
            await phone.rest()


def _word(attempt: Attempt) -> str:
    if attempt.answered is not None:
        return "answered"
    return "unanswered" if attempt.refused is None else f"refused with {attempt.refused}"


@contextmanager
def crowd(server: tuple[str, int], accounts: Mapping[str, str], **options: Any) -> Iterator[Crowd]:
    """A crowd for the length of a test."""
    made = Crowd(server, accounts, **options)
    try:
        made.start()
        yield made
    finally:
        made.close()


def numbers(count: int, first: int = 1000) -> Sequence[str]:
    """So many numbers in a row."""
    return [str(first + index) for index in range(count)]
