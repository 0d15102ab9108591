"""Closers that are killed at any instant: bills and ledger are those of a closing that nobody disturbed."""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text

from billing_service.storage.unit_of_work import Database
from tests.scenario.billing_world import BillingWorld, at
from tests.support.billing_process import ROOT, eventually
from tests.support.database import cloned_database
from tests.support.environment import clean_environment

KILLS = int(os.environ.get("TOLLBELL_TEST_KILLS", "4"))
ACCOUNTS = 8
MONTHS = max(8, 2 * KILLS)
OPENED = at("2005-01-01")
AS_OF = OPENED + timedelta(days=31 * MONTHS)

# Everything about the bills but the numbers and identifiers, which follow the order of closing.
BILLS = """
SELECT a.number, b.period_start, b.period_end, b.state, b.total, b.due_on, r.document - 'number',
  (SELECT array_agg(c.record_id ORDER BY c.record_id) FROM calls c WHERE c.account_id = b.account_id
   AND c.billable_at >= b.period_start AND c.billable_at < b.period_end)
FROM bills b JOIN phone_accounts a ON a.id = b.account_id
JOIN bill_revisions r ON r.bill_id = b.id ORDER BY a.number, b.period_start
"""
LEDGER = """
SELECT a.number, l.kind, l.amount, b.period_start, l.occurred_at, l.reason = 'Bill ' || b.number
FROM ledger_entries l JOIN phone_accounts a ON a.id = l.account_id LEFT JOIN bills b ON b.id = l.bill_id
ORDER BY a.number, b.period_start, l.kind, l.amount
"""
SETTLED = """
SELECT a.number, b.period_start, s.amount FROM bill_settlements s JOIN bills b ON b.id = s.bill_id
JOIN phone_accounts a ON a.id = b.account_id ORDER BY a.number, b.period_start, s.amount
"""
ACCOUNT_STATES = """
SELECT a.number, a.state, a.period_start, a.period_end, h.state, h.valid_from, h.valid_to, h.reason
FROM phone_accounts a JOIN account_state_history h ON h.account_id = a.id ORDER BY a.number, h.valid_from
"""
NUMBERS = "SELECT number FROM bills ORDER BY number"


@pytest.fixture
def company(database: Database) -> BillingWorld:
    """Accounts with months to close, calls in each, and some money paid in advance."""
    world = BillingWorld(database)
    plan = world.plan("Plan", "10.00")
    numbers = [f"{number:04d}" for number in range(1, ACCOUNTS + 1)]
    for place, number in enumerate(numbers):
        world.account(number, plan, OPENED, billing_day=1 + place % 28)
        if place % 3 == 0:
            world.pay(number, "35.00", OPENED + timedelta(days=1))
    world.deliver(
        *(
            world.record_of(number, OPENED + timedelta(days=2) + timedelta(days=30 * month, hours=place))
            for month in range(MONTHS)
            for place, number in enumerate(numbers)
        )
    )
    return world


def close_by_program(url: URL, tmp_path: Path) -> "subprocess.Popen[bytes]":
    own = clean_environment()
    with (tmp_path / "closing.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "billing_service", "close-bills"),
                *("--as-of", AS_OF.isoformat(), "--at-once", "2"),
            ],
            cwd=ROOT,
            env={**own, "TOLLBELL_DATABASE_URL": url.render_as_string(), "TOLLBELL_VAR": str(tmp_path)},
            stdout=log,
            stderr=log,
        )


@contextlib.contextmanager
def closers(url: URL, tmp_path: Path, count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    started = [close_by_program(url, tmp_path) for _ in range(count)]
    try:
        yield started
    finally:
        for closer in started:
            closer.kill()
            closer.wait()


def count_bills(database: Database) -> int:
    return len(rows(database, NUMBERS))


def rows(database: Database, statement: str) -> list[Any]:
    return database.run_blocking(lambda session: [tuple(row) for row in session.execute(text(statement))])


def test_kill_9_at_random_points_changes_no_bill(
    company: BillingWorld, postgres_var: Path, database_url: URL, tmp_path: Path, say: Callable[[str], None]
) -> None:
    with cloned_database(postgres_var, database_url, company.database) as url:
        undisturbed = Database.at(url, threads=1)
        BillingWorld(undisturbed).close(AS_OF)
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        in_the_middle = 0
        for kill in range(KILLS):
            before = count_bills(company.database)
            # Some die before their first bill, most in the middle of the work.
            wanted = before + chance.randint(0, max(0, (ACCOUNTS * MONTHS - before) // (KILLS - kill) - 2))
            with closers(database_url, tmp_path, 2):
                eventually(
                    lambda wanted=wanted: count_bills(company.database) >= wanted,  # type: ignore[misc]
                    "the closers are that far",
                )
                time.sleep(chance.uniform(0, 0.05))
            in_the_middle += before < count_bills(company.database) < ACCOUNTS * (MONTHS - 1)
        assert in_the_middle, "somebody must have died at work"
        with closers(database_url, tmp_path, 2) as last:
            assert [closer.wait(timeout=100) for closer in last] == [0, 0]
        say(f"seed {seed}: both closers killed {KILLS} times, {in_the_middle} times amid their work")
        for name, statement in (
            ("bills", BILLS),
            ("ledger entries", LEDGER),
            ("settlements", SETTLED),
            ("account states", ACCOUNT_STATES),
            ("bill numbers", NUMBERS),
        ):
            found, expected = rows(company.database, statement), rows(undisturbed, statement)
            say(f"{name}: {len(found)}, undisturbed {len(expected)}, equal: {found == expected}")
            assert found, name
            assert found == expected, name
        undisturbed.close()
    numbers = [number for (number,) in rows(company.database, NUMBERS)]
    assert numbers == [f"{AS_OF.year}-{count:06d}" for count in range(1, len(numbers) + 1)]
    company.check_books()
