"""What a binding and a live call take in memory: the core alone, counted by the allocator.

    python -m bench.sip.memory [--phones 50000] [--calls 5000]

The accounts of the directory are not counted. A call is counted twice: just answered, while its transactions
wait for copies of its messages (32 s at most), and afterwards, as long as the two sides talk.
"""

import argparse
import gc
import tracemalloc
from dataclasses import dataclass

from bench.sip.core_cost import Bench, call, make_engine, register

_LINGERING_S = 40.0  # more than 64*T1: all transactions of the calls are over


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the core's memory for each."""

    phones: int
    calls: int
    per_binding: float
    per_new_call: float
    per_live_call: float


def measure(phones: int, calls: int) -> Sizes:
    """Register so many phones and let so many calls be talked on at once."""
    bench = Bench(make_engine(phones))
    numbers = [str(100000 + index) for index in range(phones)]
    tracemalloc.start()
    try:
        # One of each first: what is made once is not counted.
        register(bench, numbers[0])
        register(bench, numbers[phones // 2])
        call(bench, numbers, 0, is_ended=False)
        empty = _used(bench)
        for number in numbers:
            register(bench, number)
        _wait(bench)
        registered = _used(bench)
        for serial in range(1, calls + 1):
            call(bench, numbers, serial, is_ended=False)
        answered = _used(bench)
        _wait(bench)
        talking = _used(bench)
        live = len(bench.engine.live_calls()) - 1
        assert live == calls, f"{live} calls are live, not {calls}"
    finally:
        tracemalloc.stop()
    return Sizes(
        phones,
        calls,
        (registered - empty) / (phones - 2),
        (answered - registered) / calls,
        (talking - registered) / calls,
    )


def _wait(bench: Bench) -> None:
    bench.now += _LINGERING_S
    bench.engine.expire(bench.now)
    bench.engine.take_outputs()


def _used(bench: Bench) -> int:
    bench.step_ns.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=50_000)
    parser.add_argument("--calls", type=int, default=5_000)
    arguments = parser.parse_args()
    sizes = measure(arguments.phones, arguments.calls)
    print(f"per binding, of {sizes.phones:,}: {sizes.per_binding:,.0f} bytes")
    print(f"per call, of {sizes.calls:,}, just answered: {sizes.per_new_call:,.0f} bytes")
    print(f"per call, of {sizes.calls:,}, 40 s later: {sizes.per_live_call:,.0f} bytes")


if __name__ == "__main__":
    main()
