"""An exchange of its own for each test, with a billing service that keeps what comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_billing import FakeBilling, running_fake_billing
from tests.support.proxy_process import ProxyProcess, running_proxy

ACCOUNTS = {str(number): f"secret of {number}" for number in range(1000, 1012)}


@pytest.fixture
def accounts() -> dict[str, str]:
    """A dozen numbers with their passwords."""
    return ACCOUNTS


@pytest.fixture
def billing(accounts: dict[str, str]) -> Iterator[FakeBilling]:
    """A billing service that knows the accounts."""
    with running_fake_billing() as billing:
        for number, password in accounts.items():
            billing.add_account(number, password)
        yield billing


@pytest.fixture
def proxy(tmp_path: Path, billing: FakeBilling) -> Iterator[ProxyProcess]:
    """A running exchange."""
    with running_proxy(tmp_path / "var", billing) as proxy:
        yield proxy
