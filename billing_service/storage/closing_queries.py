"""Reading the progress of closings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.storage.tables import ClosingFailure, ClosingRun, PhoneAccount


@dataclass(frozen=True, slots=True)
class FailureView:
    """An account that a run could not close, and why."""

    failure: ClosingFailure
    account: str


@dataclass(frozen=True, slots=True)
class ClosingRunView:
    """One worker's share of a closing, with what went wrong in it."""

    run: ClosingRun
    failures: Sequence[FailureView]


# Of a run in which everything fails, nobody reads more.
_MOST_FAILURES = 100


def list_closing_runs(session: Session, *, before_id: int | None, limit: int) -> Sequence[ClosingRunView]:
    """Return runs, newest first, each with its first failures."""
    query = select(ClosingRun).order_by(ClosingRun.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ClosingRun.id < before_id)
    runs = session.scalars(query).all()
    failures: defaultdict[int, list[FailureView]] = defaultdict(list)
    rows = session.execute(
        select(ClosingFailure, PhoneAccount.number)
        .join(PhoneAccount, PhoneAccount.id == ClosingFailure.account_id)
        .where(ClosingFailure.run_id.in_([run.id for run in runs if run.failed]))
        .order_by(ClosingFailure.id)
        .limit(_MOST_FAILURES)
    )
    for failure, number in rows:
        failures[failure.run_id].append(FailureView(failure, number))
    return [ClosingRunView(run, failures[run.id]) for run in runs]
