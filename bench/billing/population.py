"""Customers, accounts and a month of calls, made by PostgreSQL itself: quickly, and always the same."""

# ruff: noqa: E501 - statements of SQL, as PostgreSQL would log them
from datetime import UTC, datetime

from bench.billing.server import Server, units_of_work
from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms, Price, Tariff, Weekday, Window
from billing_service.storage.call_partitions import ensure_partitions
from billing_service.use_cases.manage_plans import create_plan

MONTH = datetime(2026, 10, 1, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 11, 1, tzinfo=UTC)


def price() -> Price:
    """A price as plans have it: nights, a lunch hour on Fridays, a standing charge, full minutes."""
    return Price(
        Money.parse("0.10"),
        standing_charge=Money.parse("0.02"),
        windows=(
            Window(None, 22 * 60, 6 * 60, Money.parse("0.03")),
            Window(Weekday.FRIDAY, 12 * 60, 13 * 60, Money.parse("0.05")),
        ),
    )


def terms() -> PlanTerms:
    """A plan with a dozen tariffs by destination."""
    tariffs = tuple(
        Tariff(Price(Money.parse(f"0.{20 + digit}"), initial_increment_s=30, next_increment_s=6), prefix)
        for digit in range(6)
        for prefix in (f"00{digit + 3}", f"0{digit + 2}7")
    )
    return PlanTerms("Benchmark", Money.parse("5.00"), price(), tariffs)


def add_accounts(server: Server, count: int) -> int:
    """Open accounts (six-digit numbers), a customer each, with one plan since the month began; its version."""
    with units_of_work(server) as database:
        create = create_plan
        plan_id = database.run_blocking(lambda session: create(session, terms(), actor="bench", at=MONTH).id)
    version = int(server.sql("SELECT max(id) FROM plan_versions WHERE plan_id = %s", plan_id)[0][0])
    server.sql(
        f"""
        SET session_replication_role = replica;
        INSERT INTO customers (name, address, email)
          SELECT 'Customer ' || n, n || ' Example Street', 'c' || n || '@example.org'
          FROM generate_series(1, {count}) n;
        INSERT INTO phone_accounts (number, customer_id, display_name, realm, ha1_md5, ha1_sha256, billing_day,
            opened_at, period_start, period_end)
          SELECT lpad(row_number() OVER (ORDER BY id)::text, 6, '0'), id, name, 'bench', md5(name),
            encode(sha256(name::bytea), 'hex'), 1, '{MONTH}', '{MONTH}', '{NEXT_MONTH}' FROM customers;
        INSERT INTO account_plan_history (account_id, plan_version_id, valid_from)
          SELECT id, {version}, opened_at FROM phone_accounts;
        INSERT INTO account_state_history (account_id, state, valid_from)
          SELECT id, 'active', opened_at FROM phone_accounts;
        """
    )
    return version


def add_calls(server: Server, count: int, *, version: int, months: int = 1, billed: bool = False) -> None:
    """Store rated calls, spread over the accounts and over months that end with the benchmark's."""
    firsts = [datetime(2026, 10 - back, 1, tzinfo=UTC) for back in range(months)]
    with units_of_work(server) as database:
        database.run_blocking(lambda session: ensure_partitions(session, firsts))
    accounts = server.sql("SELECT count(*), min(id) FROM phone_accounts")[0]
    for index, first in enumerate(firsts):
        share = count // months + (1 if index < count % months else 0)
        server.sql(
            f"""
            SET session_replication_role = replica;
            INSERT INTO calls (invited_at, record_id, call_id, caller, callee, emergency, ringing_at, answered_at,
                acknowledged_at, ended_at, duration_us, outcome, status, reason, ended_by, account_id,
                plan_version_id, price_precise, price, billable_at)
            SELECT at, md5('{first:%Y%m}' || n), 'call-{first:%Y%m}-' || n || '@10.0.0.1',
                lpad((n % {accounts[0]} + 1)::text, 6, '0'), '05' || lpad((n::bigint * 7919 % 10000000)::text, 8, '0'),
                false, at, at + '4 s', at + '4 s', at + '4 s' + seconds * interval '1 s', seconds * 1000000,
                'answered', 200, 'OK', 'caller', {accounts[1]} + n % {accounts[0]}, {version},
                0.02 + 0.1 * ceil(seconds / 60.0), 0.02 + 0.1 * ceil(seconds / 60.0),
                at + '4 s' + seconds * interval '1 s'
            FROM (SELECT n, '{first}'::timestamptz + (n::bigint * 104729 % 2592000) * interval '1 s' AS at,
                         30 + n * 31 % 400 AS seconds FROM generate_series(1, {share}) n) drawn
            """
        )
