"""What the phones saw against what was recorded: nothing lost, nothing doubled, nothing made up."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.honest_phones import Attempt


@dataclass(slots=True)
class Reconciliation:
    """The differences, in words, and the counts that a test prints."""

    attempts: int = 0
    answered: int = 0
    unfinished: int = 0
    records: int = 0
    differences: list[str] = field(default_factory=list)
    ended_by_exchange: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return (
            f"{self.attempts} attempts, {self.answered} answered as heard by the caller, "
            f"{self.unfinished} cut off before an answer, {self.records} records ({outcomes}), "
            f"{self.ended_by_exchange} answered calls ended by the exchange, "
            f"{len(self.differences)} differences"
        )


def reconcile(
    attempts: Iterable[Attempt], records: Iterable[Mapping[str, Any]], *, exchange_died: bool = False
) -> Reconciliation:
    """Compare attempts with records.

    A caller who heard an answer: exactly one record, `answered`, with a duration between what the two phones
    say; or no longer than that, when the exchange found the call to be over by itself because no BYE came
    through. One who heard a refusal: exactly one record that costs nothing. When the exchange has died
    meanwhile (`exchange_died`), attempts without an answer may have no record, as nothing was owed for them
    (refusals don't wait for the journal), but never two, nor one that costs something.
    """
    by_call = defaultdict(list)
    found = Reconciliation()
    for record in records:
        by_call[record["call_id"]].append(record)
        found.records += 1
        found.outcomes[record["outcome"]] += 1
        found.ended_by_exchange += (record["outcome"], record["ended_by"]) == ("answered", "exchange")
    for attempt in attempts:
        found.attempts += 1
        of_call = by_call.pop(attempt.call_id, [])
        notes = attempt.answered
        found.answered += notes is not None
        found.unfinished += notes is None and attempt.refused is None
        needed = 1 if notes is not None or not exchange_died else 0
        if not needed <= len(of_call) <= 1:
            found.differences.append(f"{len(of_call)} records instead of one: {attempt} {of_call}")
            continue
        for record in of_call:
            found.differences += _differences(attempt, record, exchange_died)
    found.differences += [f"a record of a call that nobody made: {records}" for records in by_call.values()]
    return found


def _differences(attempt: Attempt, record: Mapping[str, Any], exchange_died: bool) -> list[str]:
    wrong = []
    if (record["caller"], record["callee"]) != (attempt.caller, attempt.callee):
        wrong.append("between others")
    notes = attempt.answered
    if notes is None:
        if record["duration_us"] or record["outcome"] == "answered":
            wrong.append("billed, but the caller heard no answer")
    elif record["outcome"] != "answered":
        wrong.append("answered, but recorded otherwise")
    else:
        least, most = notes.duration_bounds_us(exchange_died=exchange_died)
        if record["ended_by"] == "exchange":
            least = 0.0  # billed to the last sign of life
        if not least <= record["duration_us"] <= most:
            wrong.append(f"lasted from {least:.0f} to {most:.0f} us")
    return [f"{what}: {attempt} {dict(record)}" for what in wrong]
