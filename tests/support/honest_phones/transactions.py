"""The client side of RFC 3261 §17, one object a request."""

import asyncio
from collections.abc import Callable

from tests.support.honest_phones.message import Message
from tests.support.honest_phones.timers import Timers, wait_for


class ClientTransaction:
    """Repeats a request over UDP until it is responded to."""

    def __init__(self, request: bytes, method: str, send: Callable[[bytes], None], timers: Timers) -> None:
        self._request = request
        self._is_invite = method == "INVITE"
        self._send = send
        self._timers = timers
        self.responded = asyncio.Event()
        self.ended = asyncio.Event()
        self.final: Message | None = None
        # What every copy of a final response is answered with, by its To tag: the ACK (§17.1.1.3, §13.2.2.4).
        self.acks: dict[str, bytes] = {}
        # Who takes an answer that comes when nobody waits for one any more.
        self.on_late_answer: Callable[[Message], None] | None = None

    async def run(self, patience_s: float = 0.0) -> Message | None:
        """Return the final response, or None when there is none in time.

        An INVITE stops repeating itself at the first response of any kind, and then waits for `patience_s`.
        """
        stop = self.responded if self._is_invite else self.ended
        async for _ in self._timers.repetitions(stop, capped=not self._is_invite):
            self._send(self._request)
        if self._is_invite and self.responded.is_set():
            await wait_for(self.ended, patience_s)
        return self.final

    async def wait_for_final(self) -> Message | None:
        """Wait on, as long as RFC 3261 §9.1 says after a CANCEL."""
        await wait_for(self.ended, self._timers.give_up_s)
        return self.final

    def receive(self, response: Message) -> None:
        """Take a response."""
        self.responded.set()
        if response.status < 200:
            return
        ack = self.acks.get(response.tag("to"))
        if ack is not None:
            self._send(ack)
        if self.final is not None:
            return
        self.final = response
        self.ended.set()
        if self.on_late_answer is not None and response.status < 300:
            self.on_late_answer(response)
