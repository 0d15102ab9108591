"""What is spent around the core for a call and for a registration, in instructions, however busy the machine.

    python -m bench.sip.around [--only driver]

Needs valgrind. The messages of interleaved calls are written down first, 48 at a time, which is what
300 calls/s bring in 20 ms. Then they are given to fresh processes with a layer more in each: the core
alone; the driver with all it has to do for a message, and a socket that sends nothing; the journal's file;
the delivery of records, but for aiohttp, to a billing that has them all at once. What a layer adds is its
cost. All happens in one thread, so handing over from one to the other is not counted, and neither is what
the kernel does.
"""

import argparse
import asyncio
import gc
import os
import pickle
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from bench.sip import FORM
from bench.sip.core_cost import CALLED, CALLING, EXCHANGE, Steps, call_steps, make_engine, registration
from bench.sip.instructions import repeatable_bytes
from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import BillingClient
from sip_proxy.adapters.delivery import Delivery
from sip_proxy.adapters.event_hub import EventHub
from sip_proxy.adapters.journal_store import Fact, JournalStore, UndeliveredRecord
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import Send
from sip_proxy.driver import Driver
from sip_proxy.transport.addresses import LocalAddresses
from sip_proxy.transport.source_limit import SourceLimiter
from sip_proxy.transport.udp import UdpTransport

LAYERS = ("core", "driver", "journal", "delivery")
_ROUND_S = 0.02
_BEGUN_IN_A_ROUND = {"call": 6, "registration": 24}  # which makes 48 messages once it is under way
_PHONES = 1000
_CALLING_PHONES = 100
_WARMING_ROUNDS = 10
_COUNTED_ROUNDS = 12
_DELIVERY_ROUNDS = 12  # from one delivery to the next


class Round(NamedTuple):
    """What came within 20 ms: each message, and whether the calling phones sent it."""

    now: float
    messages: list[tuple[bytes, bool]]


class Recording(NamedTuple):
    """Rounds of messages, and how many of them are over when counting begins and ends for each kind."""

    rounds: list[Round]
    counted: dict[str, tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=LAYERS[1:], help="count just what this layer adds")
    parser.add_argument("--replay", nargs=3, metavar=("FILE", "ROUNDS", "LAYER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        path, rounds, layer = arguments.replay
        _replay(pickle.loads(Path(path).read_bytes()).rounds[: int(rounds)], layer, Path(path).parent)
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Tags are made of what Python hashes: they must be the same in all the processes.
        again = [sys.executable, "-m", "bench.sip.around", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    wanted = LAYERS if arguments.only is None else LAYERS[LAYERS.index(arguments.only) - 1 :][:2]
    with tempfile.TemporaryDirectory() as directory:
        _show(Path(directory) / "messages", wanted)


def _show(path: Path, layers: Sequence[str]) -> None:
    recording = _record()
    path.write_bytes(pickle.dumps(recording))
    wanted = [(layer, rounds) for layer in layers for ends in recording.counted.values() for rounds in ends]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = dict(zip(wanted, pool.map(lambda each: _count(path, *each), wanted), strict=True))
    for kind, (begin, end) in recording.counted.items():
        print(f"instructions per {kind}, {FORM}")
        number = _BEGUN_IN_A_ROUND[kind] * _COUNTED_ROUNDS
        below = 0.0
        for position, layer in enumerate(layers):
            each = (counted[layer, end] - counted[layer, begin]) / number
            if position or layer == LAYERS[0]:
                print(f"  {layer:<10} {each - below:12,.0f}")
            below = each


def _record() -> Recording:
    engine = make_engine(_PHONES, random_bytes=repeatable_bytes())
    numbers = [str(100000 + index) for index in range(_PHONES)]
    rounds: list[Round] = []
    counted = {}
    phones = (registration(number) for number in numbers)
    calls = (call_steps(numbers[:_CALLING_PHONES], serial) for serial in range(_PHONES))
    for kind, coming in (("registration", phones), ("call", calls)):
        going: list[_Going] = []
        for index in range(_WARMING_ROUNDS + _COUNTED_ROUNDS + 1):
            if index == _WARMING_ROUNDS:
                begin = len(rounds)
            going += [_Going(next(coming)) for _ in range(_BEGUN_IN_A_ROUND[kind])]
            now = 1000.0 + _ROUND_S * len(rounds)
            rounds.append(Round(now, [each.step(engine, now) for each in going]))
            _expire(engine, now)
            going = [each for each in going if each.next is not None]
        counted[kind] = (begin, len(rounds) - 1)
    return Recording(rounds, counted)


class _Going:
    """A call or a registration that is going on."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.next = next(steps, None)

    def step(self, engine: Any, now: float) -> tuple[bytes, bool]:
        """Send the next message; return it."""
        assert self.next is not None
        _, text, flow = self.next
        data = text.encode()
        engine.receive(data, flow, now)
        sent = [output.data.decode() for output in engine.take_outputs() if isinstance(output, Send)]
        try:
            self.next = self._steps.send(sent)
        except StopIteration:
            self.next = None
        return data, flow is CALLING


def _expire(engine: Any, now: float) -> None:
    deadline = engine.next_deadline()
    if deadline is not None and deadline <= now:
        engine.expire(now)
        engine.take_outputs()


def _count(path: Path, layer: str, rounds: int) -> int:
    command = [
        *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
        *(sys.executable, "-m", "bench.sip.around", "--replay", str(path), str(rounds), layer),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"I +refs: +([\d,]+)", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


def _replay(rounds: Sequence[Round], layer: str, directory: Path) -> None:
    gc.set_threshold(10_000, 100, 100)  # as the server does
    engine = make_engine(_PHONES, random_bytes=repeatable_bytes())
    if layer == "core":
        for now, messages in rounds:
            for data, is_from_caller in messages:
                engine.receive(data, CALLING if is_from_caller else CALLED, now)
            engine.take_outputs()
            _expire(engine, now)
    else:
        with tempfile.TemporaryDirectory(dir=directory) as own:
            _drive(rounds, engine, Path(own), LAYERS.index(layer))
            os._exit(0)  # what the interpreter frees at its end is no cost of a call
    os._exit(0)


def _drive(rounds: Sequence[Round], engine: Any, directory: Path, layers: int) -> None:
    clock = SimpleNamespace(now=0.0)
    read_clock = cast("Callable[[], float]", partial(getattr, clock, "now"))
    timers: list[_Timer] = []

    def call_later(delay: float, run: Callable[[], None]) -> _Timer:
        timers.append(_Timer(clock.now + delay, run))
        return timers[-1]

    loop = cast(asyncio.AbstractEventLoop, SimpleNamespace(call_later=call_later))
    asyncio._set_running_loop(loop)
    driver = Driver(
        engine,
        events=EventHub(),
        security_log=SecurityLog(clock=read_clock),
        limiter=SourceLimiter(is_trusted=engine.is_trusted),
        clock=read_clock,
        wall_clock=cast("Callable[[], float]", partial(getattr, clock, "now")),
    )
    sender = UdpTransport(cast(socket.socket, _Socket()), handler=driver, local_addresses=LocalAddresses())
    store = JournalStore(directory / "journal.sqlite3", boot_id="bench")
    store.open()
    journal = _Journal(store)
    session = cast(Any, SimpleNamespace(request=_answer))
    billing = BillingClient(session, url="", service_token="")
    delivery = Delivery(journal, billing, backoff=Backoff(random=lambda: 0.0), undelivered=0)
    on_records = delivery.records_committed if layers > 2 else lambda count: None
    driver.connect(journal=journal, senders={Transport.UDP: sender}, on_records=on_records)
    for index, (now, messages) in enumerate(rounds):
        clock.now = now
        for data, is_from_caller in messages:
            driver.received(data, CALLING if is_from_caller else CALLED)
        driver.turn_ended()
        if layers > 1:
            store.write(journal.facts)
        journal.facts.clear()
        driver.committed(journal.position)
        due = [timer for timer in timers if timer.due <= now and not timer.is_cancelled]
        timers[:] = [timer for timer in timers if timer.due > now and not timer.is_cancelled]
        for timer in due:
            timer.run()
        if layers > 2 and index % _DELIVERY_ROUNDS == 0 and delivery.undelivered:
            with suppress(StopIteration):
                delivery._deliver_batch().send(None)


class _Timer:
    __slots__ = ("due", "is_cancelled", "run")

    def __init__(self, due: float, run: Callable[[], None]) -> None:
        self.due = due
        self.run = run
        self.is_cancelled = False

    def cancel(self) -> None:
        """Run never."""
        self.is_cancelled = True


class _Socket:
    """A socket that takes what is sent and does nothing with it."""

    family = socket.AF_INET

    def getsockname(self) -> tuple[str, int]:
        """Tell the address of the exchange."""
        return EXCHANGE

    def getsockopt(self, level: int, option: int) -> int:
        """Tell the size of a buffer."""
        return 1 << 22

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        """Send nothing."""


class _Journal:
    """The journal without its thread."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self.position = 0
        self.facts: list[Fact] = []

    def append(self, facts: Sequence[Fact], *, is_awaited: bool = True) -> int:
        """Take facts, to be written when the round is over."""
        self.position += len(facts)
        self.facts += facts
        return self.position

    async def next_records(self, limit: int) -> Any:
        """Return the next records to deliver."""
        return self._store.next_records(limit)

    async def forget_records(self, records: Sequence[UndeliveredRecord]) -> None:
        """Billing has these."""
        self._store.forget_records(records)

    async def put_last(self, records: Sequence[UndeliveredRecord]) -> None:
        """Never wanted here."""
        raise AssertionError


@asynccontextmanager
async def _answer(method: str, url: str, *, data: bytes, **_: Any) -> AsyncIterator[Any]:
    """Answer as billing does when it has stored every record."""
    ids = re.findall(rb'"record_id":"([^"]+)"', data)
    results = b",".join(b'{"record_id": "%b", "status": "stored"}' % record_id for record_id in ids)

    async def read() -> bytes:
        return b'{"results": [%b]}' % results

    yield SimpleNamespace(status=200, read=read)


if __name__ == "__main__":
    main()
