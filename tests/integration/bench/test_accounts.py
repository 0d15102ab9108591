"""The accounts that the benchmarks make by SQL fit the schema of the service."""

from pathlib import Path

from sqlalchemy import URL, text

from billing_service.storage.engine import make_engine

ACCOUNTS = Path(__file__).parents[3] / "bench" / "sip" / "tollbell_accounts.sql"


def test_the_accounts_of_the_benchmark_fit_the_schema(database_url: URL) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(ACCOUNTS.read_text(), {"accounts": 3})
        held = connection.execute(
            text("SELECT count(*) FROM account_plan_history WHERE valid_to IS NULL")
        ).scalar_one()
    engine.dispose()
    assert held == 3
