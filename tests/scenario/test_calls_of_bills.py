"""Which calls are on which bill: found by their instants, whatever happens to the bill or the account."""

from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_service.storage.call_queries import CallFilter, list_calls
from billing_service.storage.migrations import configuration
from tests.scenario.billing_world import BillingWorld, at


@pytest.fixture
def billed(world: BillingWorld) -> BillingWorld:
    """Bills of November, void and replaced, and of December, closed again with a call that was late."""
    world.account("0001", world.plan("Plan", "10.00", included=5), at("2026-11-01"))
    for instant in ("2026-11-05T12:00", "2026-11-06T12:00", "2026-11-30T23:59:30"):
        world.call("0001", at(instant), minutes=3)
    world.close(at("2026-12-01"))
    world.call("0001", at("2026-12-05T12:00"))
    world.call("0001", at("2026-11-07T12:00"))
    world.void("2026-000001", at("2026-12-02"))
    world.reclose("2026-000001", at("2026-12-03"))
    world.close(at("2027-01-01"))
    world.call("0001", at("2026-12-06T12:00"))
    world.reclose("2027-000001", at("2027-01-02"))
    world.call("0001", at("2026-12-07T12:00"))
    return world


def on(world: BillingWorld, bill: str, *, revision: int | None = None) -> list[tuple[str, bool]]:
    return [
        (call["answered_at"][5:10], call["late"]) for call in world.bill(bill, revision=revision)["calls"]
    ]


def listed(world: BillingWorld, bill: str) -> list[tuple[str, bool]]:
    """The calls of the list of calls that say they are on a bill."""
    found = world.database.run_blocking(
        lambda session: list_calls(session, CallFilter(bill=bill), before=None, limit=50)
    )
    assert {view.bill for view in found} <= {bill}
    return sorted((f"{view.call.answered_at:%m-%d}", view.late) for view in found)


def test_every_bill_and_revision_lists_its_own_calls(billed: BillingWorld) -> None:
    void, replacement = "2026-000001", "2026-000002"
    assert on(billed, void) == [("11-05", False), ("11-06", False)]
    # It arrived before the void bill was replaced, and so goes on the bill of its own period.
    assert on(billed, replacement) == [("11-05", False), ("11-06", False), ("11-07", False)]
    december = [("11-30", False), ("12-05", False)]
    assert on(billed, "2027-000001", revision=1) == december
    assert on(billed, "2027-000001") == [*december, ("12-06", False)]
    assert listed(billed, void) == []
    for bill in (replacement, "2027-000001"):
        assert listed(billed, bill) == on(billed, bill)
    billed.close(at("2027-02-01"))
    assert listed(billed, "2027-000002") == on(billed, "2027-000002") == [("12-07", True)]


def test_what_is_on_a_bill_can_not_be_changed(billed: BillingWorld) -> None:
    for change in ("UPDATE calls SET price = 0", "UPDATE calls SET callee = '1'", "DELETE FROM calls"):
        with pytest.raises(DBAPIError, match="never changed or removed"):
            billed.database.run_blocking(lambda session, change=change: session.execute(text(change)))


def test_migrating_down_and_up_keeps_the_calls_of_every_bill(billed: BillingWorld) -> None:
    documents = [("2026-000001", 1), ("2026-000002", 1), ("2027-000001", 1), ("2027-000001", 2)]
    before = [billed.bill(number, revision=revision) for number, revision in documents]
    waiting = billed.open_bill("0001", at("2027-01-03"))
    config = configuration()
    with billed.database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0008")
        earlier: list[Any] = [
            connection.execute(
                text(
                    "SELECT r.document, (SELECT array_agg(c.record_id ORDER BY c.ended_at) FROM calls c"
                    " WHERE c.bill_id = b.id) FROM bills b JOIN bill_revisions r ON r.bill_id = b.id"
                    " WHERE b.number = :number AND r.revision = :revision"
                ),
                {"number": number, "revision": revision},
            ).one()
            for number, revision in documents
        ]
        assert [document["calls"] for document, _ in earlier] == [bill["calls"] for bill in before]
        (_, of_void), (_, of_replacement), _, (_, of_revised) = earlier
        assert (of_void, len(of_replacement), len(of_revised)) == (None, 3, 3)
        command.upgrade(config, "head")
    assert [billed.bill(number, revision=revision) for number, revision in documents] == before
    assert billed.open_bill("0001", at("2027-01-03")) == waiting
    assert billed.reclose("2026-000002", at("2027-01-04")).changed is False
    billed.check_books()
