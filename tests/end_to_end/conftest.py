"""One whole system for all tests, and subscribers of each test's own on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.distribution import make_once
from tests.support.subscribers import Subscriber, Subscribers
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with its sample data that the tests use one after the other."""
    make_once(tmp_path_factory, "the system of the end-to-end tests")
    with running_system(tmp_path_factory.mktemp("system") / "var") as system:
        yield system


@pytest.fixture
def system(shared_system: System) -> System:
    """The shared system, in good health (the test before may have killed a part of it)."""
    shared_system.wait_until_healthy()
    return shared_system


@pytest.fixture
def subscribers(system: System) -> Subscribers:
    """Makes customers, plans and phone accounts through the REST API."""
    return Subscribers(system)


@pytest.fixture
def subscriber(subscribers: Subscribers) -> Callable[..., Subscriber]:
    """Makes one phone account whose number is known to the exchange when it returns."""
    return subscribers.make


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A data directory for a system of the test's own."""
    return tmp_path / "var"
