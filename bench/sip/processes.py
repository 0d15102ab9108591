"""What processes use: CPU time and memory, read from /proc."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """A process and all its living children and theirs."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def cpu_s(pids: list[int]) -> float:
    """The CPU time that processes have used so far, user and system, in seconds.

    Where the kernel keeps it, the time comes in nanoseconds from schedstat (all threads); the ticks of `stat`
    are too coarse for short runs.
    """
    nanoseconds = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def cpu_of_each_s(pids: list[int]) -> dict[int, float]:
    """As `cpu_s` for each of the processes that are still there: those of a database come and go."""
    found = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found[pid] = cpu_s([pid])
    return found


def memory_kb(pids: list[int]) -> int:
    """The proportional set size of processes, in kB: shared pages are counted once among all that share."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in seconds and memory in kB at one instant."""

    cpu_s: float
    memory_kb: int

    @classmethod
    def of(cls, pids: list[int]) -> "Usage":
        """Measure now."""
        return cls(cpu_s(pids), memory_kb(pids))
