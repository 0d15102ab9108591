"""What a call costs the core in instructions and cache misses, however busy the machine.

    python -m bench.sip.instructions [--calls 100]

Needs valgrind, whose cachegrind counts. The messages of so many calls are written down first, and then given
to a fresh engine twice: once the first few calls alone, once all of them. The difference is the calls',
without start and end of the interpreter. The caches are those of a usual server: 32 kB for each of
instructions and data, 1 MB behind both.
"""

import argparse
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.sip.core_cost import CALLED, CALLING, Bench, call, make_engine, register
from sip_proxy.core.flow import Flow

_PHONES = 100
_WARMING_CALLS = 60
_CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")
_SHOWN = {
    "I refs": "instructions",
    "I1 misses": "instruction cache misses",
    "D refs": "reads and writes",
    "D1 misses": "data cache misses",
    "LL misses": "misses of the second cache",
}

Message = tuple[bytes, bool, float]
"""The bytes, whether the caller sent them, and the instant."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--replay", nargs=2, metavar=("FILE", "MESSAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        _replay(Path(arguments.replay[0]), int(arguments.replay[1]))
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Tags are made of what Python hashes: they must be the same in all the processes.
        again = [sys.executable, "-m", "bench.sip.instructions", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    with tempfile.TemporaryDirectory() as directory:
        recorded = Path(directory) / "messages"
        before, after = _record(recorded, arguments.calls)
        few, all_of_them = (_count(recorded, messages, directory) for messages in (before, after))
    for key, name in _SHOWN.items():
        print(f"{name:<28} {(all_of_them[key] - few[key]) / arguments.calls:12,.0f} per call")


def _record(path: Path, calls: int) -> tuple[int, int]:
    """Make calls and write down what was received; return how many messages come before them, and in all."""
    engine = make_engine(_PHONES, random_bytes=_repeatable_bytes())
    messages: list[Message] = []

    class Recorder(Bench):
        __slots__ = ()

        def step(self, name: str, data: str, flow: Flow) -> list[str]:
            sent = super().step(name, data, flow)
            messages.append((data.encode(), flow is CALLING, self.now))
            return sent

    bench = Recorder(engine)
    numbers = [str(100000 + index) for index in range(_PHONES)]
    for number in numbers:
        register(bench, number)
    for serial in range(_WARMING_CALLS):
        call(bench, numbers, serial)
    before = len(messages)
    for serial in range(_WARMING_CALLS, _WARMING_CALLS + calls):
        call(bench, numbers, serial)
    path.write_bytes(pickle.dumps(messages))
    return before, len(messages)


def _replay(path: Path, count: int) -> None:
    messages: list[Message] = pickle.loads(path.read_bytes())
    engine = make_engine(_PHONES, random_bytes=_repeatable_bytes())
    for data, is_from_caller, now in messages[:count]:
        engine.receive(data, CALLING if is_from_caller else CALLED, now)
        engine.take_outputs()
        deadline = engine.next_deadline()
        if deadline is not None and deadline <= now:
            engine.expire(now)
            engine.take_outputs()
    os._exit(0)  # what the interpreter frees at its end is no cost of a call


def _repeatable_bytes() -> Callable[[int], bytes]:
    state = 0

    def draw(count: int) -> bytes:
        nonlocal state
        state += 1
        return state.to_bytes(8, "big") * (count // 8) + bytes(count % 8)

    return draw


def _count(recorded: Path, messages: int, directory: str) -> dict[str, int]:
    command = [
        *("valgrind", "--tool=cachegrind", *_CACHES, f"--cachegrind-out-file={directory}/cachegrind.out"),
        *(sys.executable, "-m", "bench.sip.instructions", "--replay", str(recorded), str(messages)),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.findall(r"== (\w+ +\w+): +([\d,]+)", said)
    return {re.sub(" +", " ", name): int(count.replace(",", "")) for name, count in found}


if __name__ == "__main__":
    main()
