"""What a call costs the core in instructions and cache misses, however busy the machine.

    python -m bench.sip.instructions [--calls 100] [--cold]

Needs valgrind, whose cachegrind counts. The messages of so many calls are written down first, and then given
to a fresh engine twice: once the first few calls alone, once all of them. The difference is the calls',
without start and end of the interpreter. The caches are those of a usual server: 32 kB for each of
instructions and data, 1 MB behind both.

With `--cold` all caches are emptied before each message, as they are in a running exchange that shares its
machine, and what misses them is shown by the kind of message: how many different lines of 64 bytes it needs.
"""

import argparse
import ctypes
import gc
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.sip import FORM
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
# What is found in a cache close by shall not hide that a line was needed: only the large one counts.
_TINY_CACHES = ("--cache-sim=yes", "--I1=1024,2,64", "--D1=1024,2,64", "--LL=1048576,16,64")
_EMPTYING_BYTES = 2 * 1048576
_LINE_BYTES = 64


class Message(NamedTuple):
    """A message of a recorded call: its bytes, who sent it, and when."""

    step: str
    data: bytes
    is_from_caller: bool
    now: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--cold", action="store_true", help="different cache lines by the kind of message")
    parser.add_argument("--replay", nargs=2, metavar=("FILE", "MESSAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        _replay(Path(arguments.replay[0]), int(arguments.replay[1]), is_cold=arguments.cold)
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Tags are made of what Python hashes: they must be the same in all the processes.
        again = [sys.executable, "-m", "bench.sip.instructions", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    with tempfile.TemporaryDirectory() as directory:
        recorded = Path(directory) / "messages"
        if arguments.cold:
            _show_lines_needed(recorded)
        else:
            _show_instructions(recorded, arguments.calls)


def _show_instructions(recorded: Path, calls: int) -> None:
    messages, before = _record(recorded, calls)
    few, all_of_them = (_count(recorded, count) for count in (before, len(messages)))
    for key, name in _SHOWN.items():
        print(f"{name:<28} {(all_of_them[key] - few[key]) / calls:12,.0f} per call, {FORM}")


def _show_lines_needed(recorded: Path) -> None:
    """Replay up to each message of one call in turn: what the next one needs is the difference."""
    messages, before = _record(recorded, 1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = list(
            pool.map(lambda count: _count(recorded, count, is_cold=True), range(before, len(messages) + 1))
        )
    total: Counter[str] = Counter()
    print(f"{'':<12} {'lines of code':>14} {'lines of data':>14}")
    for message, (few, more) in zip(messages[before:], pairwise(counted), strict=True):
        needed = {key: more[key] - few[key] for key in ("LLi misses", "LLd misses")}
        needed["LLd misses"] -= _EMPTYING_BYTES // _LINE_BYTES
        total.update(needed)
        _print_needed(message.step, needed)
    _print_needed("a call", total)


def _print_needed(name: str, needed: Mapping[str, int]) -> None:
    print(f"{name:<12} " + " ".join(f"{value:>14,}" for value in needed.values()))


def _record(path: Path, calls: int) -> tuple[list[Message], int]:
    """Make calls and write down what was received; return that, and how many messages come before them."""
    engine = make_engine(_PHONES, random_bytes=repeatable_bytes())
    messages: list[Message] = []

    class Recorder(Bench):
        __slots__ = ()

        def step(self, name: str, data: str, flow: Flow) -> list[str]:
            sent = super().step(name, data, flow)
            messages.append(Message(name, data.encode(), flow is CALLING, self.now))
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
    return messages, before


def _replay(path: Path, count: int, *, is_cold: bool) -> None:
    gc.set_threshold(10_000, 100, 100)  # as the server does
    messages: list[Message] = pickle.loads(path.read_bytes())
    engine = make_engine(_PHONES, random_bytes=repeatable_bytes())
    memory = ctypes.create_string_buffer(_EMPTYING_BYTES)
    for _, data, is_from_caller, now in messages[:count]:
        if is_cold:
            ctypes.memset(memory, 0, _EMPTYING_BYTES)
        engine.receive(data, CALLING if is_from_caller else CALLED, now)
        engine.take_outputs()
        deadline = engine.next_deadline()
        if deadline is not None and deadline <= now:
            engine.expire(now)
            engine.take_outputs()
    os._exit(0)  # what the interpreter frees at its end is no cost of a call


def repeatable_bytes() -> Callable[[int], bytes]:
    state = 0

    def draw(count: int) -> bytes:
        nonlocal state
        begin, state = state, state + count // 8 + 1
        return b"".join(each.to_bytes(8, "big") for each in range(begin, state))[:count]

    return draw


def _count(recorded: Path, messages: int, *, is_cold: bool = False) -> dict[str, int]:
    command = [
        *("valgrind", "--tool=cachegrind", f"--cachegrind-out-file={recorded}.{messages}.out"),
        *(_TINY_CACHES if is_cold else _CACHES),
        *(sys.executable, "-m", "bench.sip.instructions", "--replay", str(recorded), str(messages)),
        *(["--cold"] if is_cold else []),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.findall(r"== (\w+ +\w+): +([\d,]+)", said)
    return {re.sub(" +", " ", name): int(count.replace(",", "")) for name, count in found}


if __name__ == "__main__":
    main()
