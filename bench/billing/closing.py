"""Closing a month: the product beside plain SQL over the same data."""

import os
from dataclasses import dataclass

from bench.billing.population import NEXT_MONTH, add_accounts, add_calls
from bench.billing.server import running_server

# ruff: noqa: E501 - statements of SQL, as PostgreSQL would log them
# What anybody would write first: a sum for each account, and a bill with it.
AGGREGATE = f"""
INSERT INTO plain_bills (number, account_id, customer_id, period_start, period_end, state, revision, currency,
    total, due_on, closed_at)
SELECT '2026-' || lpad((row_number() OVER ())::text, 6, '0'), a.id, a.customer_id, a.period_start, a.period_end,
    'closed', 1, 'USD', 5 + coalesce(sum(c.price), 0), date '2026-11-15', timestamptz '{NEXT_MONTH}'
FROM phone_accounts a LEFT JOIN calls c ON c.account_id = a.id AND c.ended_at < a.period_end
GROUP BY a.id
"""
# The same outcome as the product's in plain SQL: documents that never change, and the ledger charged.
SAME_OUTCOME = f"""
{AGGREGATE};
INSERT INTO plain_documents (bill_id, document)
SELECT b.id, jsonb_build_object('number', b.number, 'account', a.number, 'customer', jsonb_build_object(
    'id', c.id, 'name', c.name, 'address', c.address, 'email', c.email), 'currency', 'USD', 'timezone', 'UTC',
    'period', jsonb_build_object('start', b.period_start, 'end', b.period_end), 'closed_at', b.closed_at,
    'due_on', b.due_on, 'fee_total', '5.00', 'call_total', (b.total - 5)::text, 'total', b.total::text)
FROM plain_bills b JOIN phone_accounts a ON a.id = b.account_id JOIN customers c ON c.id = b.customer_id;
UPDATE phone_accounts SET period_start = b.period_end, period_end = b.period_end + interval '1 month'
  FROM plain_bills b WHERE b.account_id = phone_accounts.id;
INSERT INTO plain_ledger (account_id, kind, amount, bill_id, reason, actor, occurred_at)
SELECT account_id, 'charge', -total, id, 'Bill ' || number, 'plain', closed_at FROM plain_bills
"""
_PLAIN_TABLES = """
CREATE TABLE plain_bills (LIKE bills INCLUDING ALL);
ALTER TABLE plain_bills ADD FOREIGN KEY (account_id) REFERENCES phone_accounts (id),
  ADD FOREIGN KEY (customer_id) REFERENCES customers (id);
CREATE TABLE plain_documents (bill_id bigint PRIMARY KEY REFERENCES plain_bills (id), document jsonb);
CREATE TABLE plain_ledger (LIKE ledger_entries INCLUDING ALL)
"""


@dataclass(frozen=True)
class Closed:
    """How long the closing of a month took, and the same in plain SQL (seconds); memory of one worker."""

    accounts: int
    calls: int
    aggregate_s: float
    same_outcome_s: float
    product_s: float
    """Without `start_s`."""
    start_s: float
    """How long the same command takes when nothing is due: its processes start and look."""
    one_worker_peak_bytes: int


def close_a_month(accounts: int, calls: int, *, workers: int | None = None) -> Closed:
    """Measure the references and the product on data of the same content, each in a database of its own."""
    with running_server() as server:
        version = add_accounts(server, accounts)
        add_calls(server, calls, version=version)
        server.analyse()
        server.sql(_PLAIN_TABLES)
        aggregate_s = server.timed(AGGREGATE)
        total = server.sql("SELECT sum(total) FROM plain_bills")[0][0]
        server.sql("DROP TABLE plain_documents, plain_bills, plain_ledger")
        server.analyse()
        command = (
            "close-bills",
            "--as-of",
            NEXT_MONTH.isoformat(),
            "--workers",
            str(workers or os.cpu_count() or 1),
        )
        finished = server.run(*command)
        idle = server.run(*command)
        bills, billed, listed = server.sql(
            "SELECT count(*), sum(total), sum((SELECT split_part(line->>'text', ' ', 1)::bigint FROM"
            " jsonb_array_elements(document->'lines') AS line WHERE line->>'kind' = 'calls'))"
            " FROM bills JOIN bill_revisions ON bill_id = bills.id"
        )[0]
        assert (bills, billed, listed) == (accounts, total, calls), "the product and plain SQL must agree"
    with running_server() as server:
        version = add_accounts(server, accounts)
        add_calls(server, calls, version=version)
        server.analyse()
        server.sql(_PLAIN_TABLES)
        same_outcome_s = server.timed(SAME_OUTCOME)
    return Closed(
        accounts,
        calls,
        aggregate_s,
        same_outcome_s,
        finished.seconds - idle.seconds,
        idle.seconds,
        finished.peak_bytes,
    )
