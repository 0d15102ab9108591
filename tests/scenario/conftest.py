import pytest

from billing_service.storage.unit_of_work import Database
from tests.scenario.billing_world import BillingWorld


@pytest.fixture
def world(database: Database) -> BillingWorld:
    """A telephone company without customers, in UTC."""
    return BillingWorld(database)
