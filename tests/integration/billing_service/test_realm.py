"""The realm is part of every password's digest: a service for another domain says that they don't fit."""

from pathlib import Path

import pytest
from sqlalchemy import URL
from structlog.testing import capture_logs

from billing_service.app import _check_database
from tests.support.billing import Billing, make_settings


@pytest.mark.parametrize(("domain", "warned"), [("tollbell.test", False), ("another.test", True)])
async def test_accounts_of_another_realm_are_counted_at_the_start(
    billing: Billing, database_url: URL, tmp_path: Path, domain: str, warned: bool
) -> None:
    await billing.add_account("0001")
    with capture_logs() as logs:
        _check_database(make_settings(database_url, tmp_path, sip_domain=domain))
    warnings = [entry for entry in logs if entry["event"] == "sip_passwords_of_another_domain"]
    assert [entry["accounts"] for entry in warnings] == ([1] if warned else [])


async def test_a_new_password_is_for_the_realm_of_now(
    billing: Billing, database_url: URL, tmp_path: Path
) -> None:
    await billing.add_account("0001")
    await billing.database.run(
        lambda session: session.connection().exec_driver_sql("UPDATE phone_accounts SET realm = 'old.test'")
    )
    await billing.post("/v1/phone-accounts/0001/sip-password", {})
    with capture_logs() as logs:
        _check_database(make_settings(database_url, tmp_path))
    assert logs == []
