"""The sample data: what a new user finds, and that it is there once."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from billing_service.storage.tables import (
    AccountStateHistory,
    Bill,
    Call,
    CallRecordReceipt,
    PhoneAccount,
    RejectedCallRecord,
)
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.load_sample_data import SampleCredentials, load_sample_data
from tests.scenario.billing_world import USD, BillingWorld, at
from tests.support.database import database_to_read

NOW = at("2026-11-21T20:00")


def load(database: Database, now: datetime = NOW, zone: str = "UTC") -> SampleCredentials | None:
    return load_sample_data(database, now=now, currency=USD, zone=ZoneInfo(zone), realm="tollbell.local")


@pytest.fixture(scope="module")
def loaded(postgres_var: Path, template_database: str) -> Iterator[tuple[Database, SampleCredentials]]:
    """The sample data of `NOW` and what their loading returned; tests must change nothing."""
    with database_to_read(postgres_var, template_database) as database:
        credentials = load(database)
        assert credentials is not None
        yield database, credentials


def test_every_page_has_something_to_look_at(loaded: tuple[Database, SampleCredentials]) -> None:
    world = BillingWorld(loaded[0])
    world.check_books()

    def unpaid(number: str) -> int:
        return world.look(number, NOW).unpaid_bills

    def state(number: str) -> str:
        return world.look(number, NOW).account.state

    run = world.database.run_blocking
    calls = run(lambda session: session.scalar(select(func.count()).select_from(Call))) or 0
    assert 1000 < calls < 3000
    assert run(lambda session: session.scalar(select(func.count()).select_from(RejectedCallRecord))) == 0
    outcomes = Counter(run(lambda session: session.scalars(select(Call.outcome)).all()))
    assert set(outcomes) == {"answered", "no_answer", "busy", "cancelled", "rejected", "failed"}
    assert 0.6 < outcomes["answered"] / calls < 0.85
    bills = Counter(run(lambda session: session.scalars(select(Bill.state)).all()))
    assert bills["paid"] > 20
    assert bills["closed"] >= 5
    assert [state(number) for number in ("0001", "0002", "0003", "0004")] == ["active"] * 4
    assert (unpaid("0001"), unpaid("0004")) == (0, 2)
    assert (state("0005"), unpaid("0005")) == ("suspended", 3)
    assert state("0007") == "closed"
    assert state("3002") == "out_of_service"
    assert world.look("2002", NOW).account.outgoing_filter
    assert world.look("0006", NOW).account.block_list
    assert world.open_bill("0001", NOW)["calls"]
    kinds = {line["kind"] for document in world.documents("0001") for line in document["lines"]}
    assert kinds == {"fee", "calls", "late_calls", "allowance"}
    assert len([line for line in world.documents("3001")[1]["lines"] if line["kind"] == "fee"]) == 2


def test_no_call_is_put_through_that_the_exchange_would_refuse(
    loaded: tuple[Database, SampleCredentials],
) -> None:
    check_refusals(loaded[0])


def test_nor_is_any_on_another_day_and_in_another_zone(database: Database) -> None:
    load(database, at("2027-03-01T05:00"), "Asia/Tokyo")
    check_refusals(database)


def check_refusals(database: Database) -> None:
    accounts, states, calls = database.run_blocking(
        lambda session: (
            {account.number: account for account in session.scalars(select(PhoneAccount))},
            session.execute(
                select(
                    PhoneAccount.number,
                    AccountStateHistory.state,
                    AccountStateHistory.valid_from,
                    AccountStateHistory.valid_to,
                ).join(PhoneAccount, PhoneAccount.id == AccountStateHistory.account_id)
            ).all(),
            session.scalars(select(Call).where(Call.emergency.is_(False))).all(),
        )
    )

    def state_of(number: str, when: datetime) -> str | None:
        for known, state, since, until in states:
            if known == number and since <= when and (until is None or when < until):
                return str(state)
        return None

    seen = Counter[str]()
    for call in calls:
        caller = accounts[call.caller]
        assert state_of(call.caller, call.invited_at) == "active", call.record_id
        allowed = not (call.caller == "2002" and call.callee.startswith("30"))
        callee_state = state_of(call.callee, call.invited_at)
        refused = (call.outcome, call.status, call.ended_by)
        assert call.callee != call.caller
        if not allowed:
            assert refused == ("rejected", 403, "exchange"), call.record_id
            seen["barred"] += 1
        elif callee_state is None:
            assert refused == ("rejected", 404, "exchange"), call.record_id
            seen["unknown"] += 1
        elif callee_state != "active":
            assert refused == ("rejected", 480, "exchange"), call.record_id
            assert (call.ringing_at, call.duration_us, call.price) == (None, 0, None)
            seen[call.callee] += 1
        elif caller.number in accounts[call.callee].block_list or (
            call.callee == "2002" and not call.caller.startswith("2")
        ):
            assert refused == ("rejected", 486, "exchange"), call.record_id
            seen["not wanted"] += 1
        else:
            assert call.outcome != "rejected", call.record_id
            seen["put through"] += 1
    assert set(seen) == {"barred", "unknown", "0005", "0007", "not wanted", "put through"}
    assert seen["put through"] > 800


def test_the_credentials_are_those_of_all_phones_that_can_register(
    loaded: tuple[Database, SampleCredentials],
) -> None:
    database, credentials = loaded
    numbers = database.run_blocking(
        lambda session: session.scalars(
            select(PhoneAccount.number).where(PhoneAccount.state != "closed")
        ).all()
    )
    document = credentials.to_document()
    assert document["administrator"] == {"login": "admin", "password": credentials.password}
    assert document["phones"][0]["number"] == "0001"
    assert sorted(phone["number"] for phone in document["phones"]) == sorted(numbers)
    passwords = [credentials.password, *(phone["password"] for phone in document["phones"])]
    assert len(set(passwords)) == len(passwords)
    assert all(len(password) >= 12 for password in passwords)


def test_a_database_that_is_not_empty_is_left_alone(world: BillingWorld) -> None:
    world.account("0001", world.plan("Mine", "1.00"), at("2026-11-01"))
    assert load(world.database) is None
    assert world.database.run_blocking(
        lambda session: session.scalars(select(PhoneAccount.number)).all()
    ) == ["0001"]


def test_loading_twice_loads_once(loaded: tuple[Database, SampleCredentials]) -> None:
    database, _ = loaded

    def count() -> int | None:
        return database.run_blocking(
            lambda session: session.scalar(select(func.count()).select_from(CallRecordReceipt))
        )

    before = count()
    assert load(database) is None
    assert count() == before


@pytest.mark.parametrize(
    ("now", "zone"),
    [
        ("2027-01-01T00:00:00", "UTC"),
        ("2027-03-31T23:59:59", "Pacific/Auckland"),
        ("2026-11-01T06:30:00", "America/New_York"),
    ],
)
def test_any_day_of_the_year_will_do(database: Database, now: str, zone: str) -> None:
    world = BillingWorld(database, zone=ZoneInfo(zone))
    assert load(database, at(now), zone) is not None
    world.check_books()
    assert len(world.documents("0001")) == 3
    assert world.look("0005", at(now)).account.state == "suspended"
    assert world.close(at(now)).bills == ()
