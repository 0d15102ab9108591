"""Bad network weather between phones and an exchange: datagrams get lost, doubled, late and out of order.

Phones use the relay as their server. To the exchange each of them is behind an address of the relay's, as
behind a NAT; in what the exchange writes (Via, Record-Route) the relay puts itself in its place, so that
phones which follow their route set come through it too.
"""

import asyncio
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_CREDENTIALS = re.compile(rb"(proxy-)?authorization\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Weather:
    """The chances of a datagram, each way; delays in seconds, drawn evenly.

    A datagram that is `late` waits for `lateness_s` more, and others overtake it.
    """

    loss: float = 0.05
    duplication: float = 0.05
    late: float = 0.05
    delay_s: tuple[float, float] = (0.001, 0.02)
    lateness_s: float = 0.08


class LossyRelay:
    """Carries datagrams between phones and one exchange, on a thread of its own."""

    def __init__(self, exchange: tuple[str, int], weather: Weather, *, seed: int) -> None:
        self.exchange = exchange
        self.weather = weather
        self.counts: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="weather", daemon=True)
        self._phones_side: asyncio.DatagramTransport | None = None
        self._exchange_sides: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        # 127.0.0.2 beside 127.0.0.1, with the same port: replacing one by the other keeps every length.
        self.address = ("127.0.0.2", exchange[1])

    def start(self) -> None:
        """Listen for phones."""
        self._thread.start()
        self._run(self._open())

    def close(self) -> None:
        """Let go of every socket; what is still on its way is lost."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def from_phone(self, data: bytes, phone: tuple[str, int]) -> None:
        """A phone sends something."""
        data = _replace(data, self.address, self.exchange)
        self._weathered(lambda: self._to_exchange(data, phone))

    def from_exchange(self, data: bytes, phone: tuple[str, int]) -> None:
        """The exchange sends something to a phone."""
        data = _replace(data, self.exchange, self.address)
        assert self._phones_side is not None
        side = self._phones_side
        self._weathered(lambda: side.sendto(data, phone))

    def _weathered(self, deliver: Any) -> None:
        self.counts["sent"] += 1
        dice, weather = self._dice, self.weather
        if dice.random() < weather.loss:
            self.counts["lost"] += 1
            return
        copies = 1
        if dice.random() < weather.duplication:
            self.counts["doubled"] += 1
            copies = 2
        for _ in range(copies):
            delay_s = dice.uniform(*weather.delay_s)
            if dice.random() < weather.late:
                self.counts["late"] += 1
                delay_s += weather.lateness_s
            self._loop.call_later(delay_s, deliver)

    def _to_exchange(self, data: bytes, phone: tuple[str, int]) -> None:
        side = self._exchange_sides.get(phone)
        if side is None:
            self._loop.create_task(self._open_side(data, phone))
        else:
            side.sendto(data, self.exchange)

    async def _open_side(self, data: bytes, phone: tuple[str, int]) -> None:
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Side(lambda answer, _: self.from_exchange(answer, phone)), local_addr=("127.0.0.1", 0)
        )
        if self._exchange_sides.setdefault(phone, transport) is not transport:
            transport.close()  # two datagrams of a new phone came at once
        self._to_exchange(data, phone)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._phones_side, _ = await self._loop.create_datagram_endpoint(
            lambda: _Side(self.from_phone), local_addr=self.address
        )

    async def _close(self) -> None:
        for side in (self._phones_side, *self._exchange_sides.values()):
            if side is not None:
                side.close()
        await asyncio.sleep(0)  # closed sockets have one more turn


class _Side(asyncio.DatagramProtocol):
    def __init__(self, received: Any) -> None:
        self._received = received

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        self._received(data, address)

    def error_received(self, error: Exception) -> None:
        """Whoever was meant isn't there; weather doesn't mind."""


def _replace(data: bytes, one: tuple[str, int], other: tuple[str, int]) -> bytes:
    """Put an address in another's place, but not in credentials: the hash there is of the original."""
    old, new = (f"{host}:{port}".encode() for host, port in (one, other))
    lines = data.split(b"\r\n")
    return b"\r\n".join(line if _CREDENTIALS.match(line) else line.replace(old, new) for line in lines)


@contextmanager
def lossy_relay(exchange: tuple[str, int], *, seed: int, **weather: Any) -> Iterator[LossyRelay]:
    """A relay for the length of a test."""
    relay = LossyRelay(exchange, Weather(**weather), seed=seed)
    try:
        relay.start()
        yield relay
    finally:
        relay.close()
