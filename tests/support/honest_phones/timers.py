"""The timers of RFC 3261 table 4, all multiples of T1."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """`t1_s` is 0.5 on the wire; tests that kill things use less, as §17.1.1.2 allows in private networks."""

    t1_s: float = 0.5

    @property
    def t2_s(self) -> float:
        return 8 * self.t1_s

    @property
    def give_up_s(self) -> float:
        """64*T1: timers B, F and H, and how long a 200 is repeated."""
        return 64 * self.t1_s

    async def repetitions(self, until: asyncio.Event, *, capped: bool) -> AsyncIterator[None]:
        """Come round each time that a message is to be sent, until the event or until giving up.

        The interval doubles from T1; `capped` at T2, as for everything but INVITE (§17.1.2.2, §13.3.1.4).
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self.give_up_s
        interval = self.t1_s
        while not until.is_set() and now() < deadline:
            yield
            await wait_for(until, min(interval, deadline - now()))
            interval = min(2 * interval, self.t2_s) if capped else 2 * interval


async def wait_for(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event, but not for longer; tell whether it has come."""
    if timeout_s > 0 and not event.is_set():
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
    return event.is_set()
