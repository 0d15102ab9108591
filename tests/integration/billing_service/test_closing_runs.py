"""The progress of closings, as the console shows it."""

from datetime import timedelta

from sqlalchemy import text

from tests.support.billing import Billing


async def test_a_closing_tells_what_was_due_and_what_it_closed(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.add_account("0002")
    billing.clock.advance(timedelta(days=70))
    closed = await billing.post("/v1/bills/close-due", {})
    assert closed.body["closed"] == 4
    (run,) = (await billing.get("/v1/closing-runs")).body["items"]
    assert (run["due"], run["closed"], run["suspended"], run["failed"]) == (2, 4, 0, 0)
    assert run["finished_at"] is not None
    assert run["failures"] == []


async def test_an_account_that_could_not_be_closed_is_shown_with_the_reason_and_tried_again(
    billing: Billing,
) -> None:
    await billing.add_account("0001")
    await billing.add_account("0002")
    billing.clock.advance(timedelta(days=31))
    obstacle = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'the disk is made of cheese'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON bills FOR EACH ROW"
        " WHEN (NEW.account_id = 2) EXECUTE FUNCTION refuse()"
    )
    billing.database.run_blocking(lambda session: session.execute(text(obstacle)))
    try:
        answer = await billing.post("/v1/bills/close-due", {})
    finally:
        removal = "DROP TRIGGER refuse ON bills; DROP FUNCTION refuse()"
        billing.database.run_blocking(lambda session: session.execute(text(removal)))
    assert (answer.body["closed"], answer.body["failed"]) == (1, ["0002"])
    (run,) = (await billing.get("/v1/closing-runs")).body["items"]
    assert (run["due"], run["closed"], run["failed"]) == (2, 1, 1)
    (failure,) = run["failures"]
    assert failure["account"] == "0002"
    assert failure["reason"] == "The database refused the bill: the disk is made of cheese"
    assert (await billing.post("/v1/bills/close-due", {})).body["closed"] == 1
    runs = (await billing.get("/v1/closing-runs", limit=1)).body
    assert (runs["items"][0]["due"], runs["items"][0]["closed"], runs["items"][0]["failures"]) == (1, 1, [])
    older = (await billing.get("/v1/closing-runs", cursor=runs["next_cursor"])).body
    assert [run["failed"] for run in older["items"]] == [1]


async def test_a_bill_that_is_too_large_to_store_is_told_without_the_statement(billing: Billing) -> None:
    plan_id = await billing.add_plan()
    # What earlier releases have stored, when fees had no limit; past the trigger against changes.
    absurd = text(
        "SET LOCAL session_replication_role = replica; UPDATE plan_versions SET monthly_fee = 999999999999.99"
    )
    billing.database.run_blocking(lambda session: session.execute(absurd))
    assert (await billing.get(f"/v1/plans/{plan_id}")).body["monthly_fee"] == "999999999999.99"
    tax = {"name": "VAT", "percent": "8.1", "on": ["fee"], "valid_from": "2026-01-01", "valid_to": None}
    assert (await billing.post("/v1/taxes", tax)).status == 201
    await billing.add_account("0001", plan_id=plan_id)
    await billing.add_account("0002")
    billing.clock.advance(timedelta(days=70))
    answer = await billing.post("/v1/bills/close-due", {})
    assert (answer.body["closed"], answer.body["failed"]) == (2, ["0001"])
    (run,) = (await billing.get("/v1/closing-runs")).body["items"]
    reason = "The database refused the bill: numeric field overflow"
    assert [failure["reason"] for failure in run["failures"]] == [reason]
    errors = (await billing.get("/v1/errors", kind="closing_failure")).body["items"]
    assert [error["reason"] for error in errors] == [reason]
    # It can be looked at all the same.
    assert (await billing.get("/v1/phone-accounts/0001/open-bill")).status == 200
