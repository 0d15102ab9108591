"""The results as a page of Markdown."""

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench.sip.crowd import Crowd
from bench.sip.memory import Sizes
from bench.sip.rounds import CallCosts, Costs, Sustained
from bench.sip.servers import TOLLBELL, TOLLBELL_INTERPRETED

# Each yardstick with what is aimed at.
_REFERENCES = {
    "Kamailio, PostgreSQL accounting and state": None,
    "Kamailio, PostgreSQL accounting": 0.35,
    "Kamailio, in memory": 0.9,
}
_REGISTRATION_AIMS = {"Kamailio, in memory": 0.8}


def machine() -> str:
    """The machine and the versions, in one paragraph."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = int(memory[1]) / 1024 / 1024 if memory else 0
    return (
        f"{datetime.now(UTC).date()}, {os.cpu_count()} CPUs ({cpu[1] if cpu else platform.machine()}), "
        f"{gigabytes:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"{_version('kamailio', '-v')}, {_version('sipp', '-v')}. Load average at the start: "
        f"{os.getloadavg()[0]:.1f}; SIPp, billing, PostgreSQL and the server share the CPUs."
    )


def _version(command: str, flag: str) -> str:
    try:
        said = subprocess.run([command, flag], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return f"no {command} (Debian package {command if command != 'sipp' else 'sip-tester'})"
    found = re.search(r"(?:kamailio|SIPp v?)\s?\S*\d[\w.\-]*", said)
    return found[0].strip(" .") if found else command


def registration_table(costs: Mapping[str, Costs]) -> str:
    """CPU per registration and per refresh, in proportion to the yardstick beside what is aimed at."""
    lines = [
        "| server | CPU per registration, ms | Tollbell's in proportion | aim | CPU per refresh, ms "
        "| Tollbell's in proportion |",
        "|---|---|---|---|---|---|",
    ]
    ours = costs[TOLLBELL]
    for name, cost in costs.items():
        ratio, refresh_ratio, aim = "", "", ""
        if name in _REFERENCES:
            ratio = _ratio(ours.registration_ms, cost.registration_ms)
            refresh_ratio = _ratio(ours.refresh_ms, cost.refresh_ms)
            aim = f"{_REGISTRATION_AIMS[name]:.2f}" if name in _REGISTRATION_AIMS else "–"
        lines.append(
            f"| {name} | {_spread(cost.registration_ms)} | {ratio} | {aim} | {_spread(cost.refresh_ms)} "
            f"| {refresh_ratio} |"
        )
    return "\n".join(lines)


def _ratio(ours: list[float], theirs: list[float]) -> str:
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


def call_table(costs: Mapping[str, Costs]) -> str:
    """CPU per call by rate; how every server came out of it."""
    lines = [
        "| calls/s | server | CPU per call, ms | billing | PostgreSQL | set-up p50 / p99, ms | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate in _rates(costs):
        for name, cost in costs.items():
            at_rate = cost.calls_at.get(rate)
            if at_rate is None:
                continue
            lines.append(
                f"| {rate} | {name} | {_spread(at_rate.switch_ms)} "
                f"| {_or_dash(at_rate.billing_ms)} | {_or_dash(at_rate.database_ms)} "
                f"| {statistics.median(at_rate.p50_ms):.0f} / {statistics.median(at_rate.p99_ms):.0f} "
                f"| {at_rate.failed} |"
            )
    return "\n".join(lines)


def ratio_table(costs: Mapping[str, Costs]) -> str:
    """Tollbell's CPU per call in proportion to each yardstick's, beside what is aimed at.

    A rate at which calls failed on either side is no comparison, and left out.
    """
    references = [name for name in _REFERENCES if name in costs]
    aims = [_REFERENCES[name] for name in references]
    lines = [
        f"| calls/s | | {' | '.join(f'relative to {name}' for name in references)} |",
        f"|---|---{'|---' * len(references)}|",
    ]
    for rate in _rates(costs):
        for ours in (TOLLBELL_INTERPRETED, TOLLBELL):
            at_rate = costs[ours].calls_at.get(rate)
            ratios = [_call_ratio(at_rate, costs[name].calls_at.get(rate)) for name in references]
            lines.append(f"| {rate} | {ours} | {' | '.join(ratios)} |")
    shown = " | ".join("–" if aim is None else f"{aim:.2f}" for aim in aims)
    return "\n".join([*lines, f"| aim | | {shown} |"])


def records_line(costs: Mapping[str, Costs]) -> str:
    """Whether every call has its record."""
    kept = [
        f"{name} {cost.records:,} records of {cost.calls:,} calls"
        for name, cost in costs.items()
        if cost.records
    ]
    return f"Kept: {'; '.join(kept)}."


def _call_ratio(ours: CallCosts | None, reference: CallCosts | None) -> str:
    if ours is None or reference is None or ours.failed or reference.failed:
        return "–"
    return _ratio(ours.switch_ms, reference.switch_ms)


def _rates(costs: Mapping[str, Costs]) -> list[int]:
    return sorted({rate for cost in costs.values() for rate in cost.calls_at})


def rate_table(rates: Mapping[str, Sustained]) -> str:
    """The highest rates without a failed call."""
    lines = ["| server | calls/s without a failure | first rate not kept up |", "|---|---|---|"]
    for name, rate in rates.items():
        kept = f"{rate.calls_per_s} for {rate.seconds} s" if rate.calls_per_s else "none of those tried"
        failed = "none tried" if rate.failed_at is None else f"{rate.failed_at} ({rate.failed} failed)"
        if rate.records_missing > 0:
            failed += f"; {rate.records_missing} records missing"
        lines.append(f"| {name} | {kept} | {failed} |")
    return "\n".join(lines)


def phones_table(by_phones: Mapping[int, Costs]) -> str:
    """Cost against the number of registered phones."""
    rate = max(_rates({"": next(iter(by_phones.values()))}))
    smallest = statistics.median(by_phones[min(by_phones)].calls_at[rate].switch_ms)
    lines = [
        "| registered phones | CPU per registration, ms | CPU per call, ms | relative | proxy's memory, MB |",
        "|---|---|---|---|---|",
    ]
    for phones, cost in by_phones.items():
        call_ms = statistics.median(cost.calls_at[rate].switch_ms)
        lines.append(
            f"| {phones:,} | {statistics.median(cost.registration_ms):.3f} | {call_ms:.3f} "
            f"| {call_ms / smallest:.2f} | {cost.memory_kb / 1024:.0f} |"
        )
    return "\n".join(lines)


def memory_table(sizes: Sizes) -> str:
    """Bytes per binding and per call."""
    return "\n".join(
        [
            "| memory of the core | bytes each | aim |",
            "|---|---|---|",
            f"| binding ({sizes.phones:,} of them) | {sizes.per_binding:,.0f} | 3,000 |",
            f"| call just answered, with transactions ({sizes.calls:,}) | {sizes.per_new_call:,.0f} | – |",
            f"| live call, 40 s later ({sizes.calls:,}) | {sizes.per_live_call:,.0f} | 8,000 |",
        ]
    )


def crowd_table(crowd: Crowd) -> str:
    """Many phones and calls at once on one running process."""
    return "\n".join(
        [
            f"{crowd.registered:,} phones registered and {crowd.live_at_once:,} calls live on one process; "
            f"{crowd.failed} failed; {crowd.records:,} of {crowd.calls:,} calls stored and priced.",
            "",
            "| memory of the whole process, lingering transactions included | bytes each | aim |",
            "|---|---|---|",
            f"| binding | {crowd.bytes_per_binding:,.0f} | 3,000 |",
            f"| live call | {crowd.bytes_per_live_call:,.0f} | 8,000 |",
        ]
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _or_dash(values: list[float]) -> str:
    median = statistics.median(values)
    return f"{median:.3f}" if median else "–"
