"""Which tests run in the same test process, one after the other, when `make test` uses several.

What takes long to make (a whole system, a browser, a broker) is made once a process, for the tests that
share it. So these tests go to one process together, and first, since they mostly wait; all others go one by
one to whoever is free. pytest-xdist's own mark for that has no effect with the node ids of pytest 9.2
(pytest-xdist#1386).
"""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A name says what is shared; the paths are files or folders of tests.
SHARING = {
    "the system of the end-to-end tests": (
        "tests/end_to_end/test_books_balance.py",
        "tests/end_to_end/test_call_to_bill.py",
        "tests/end_to_end/test_engines_at_random.py",
        "tests/end_to_end/test_faults.py",
        "tests/end_to_end/test_messages.py",
        "tests/end_to_end/test_other_phones.py",
        "tests/end_to_end/test_refusals.py",
        "tests/end_to_end/test_start_and_stop.py",
        "tests/end_to_end/test_suspension.py",
        "tests/end_to_end/test_transfer.py",
    ),
    "the browser": ("tests/browser/",),
    "a system that pings": ("tests/end_to_end/test_ghost_calls.py",),
    "the broker": ("tests/integration/billing_service/test_broker.py",),
    "a database server that is stopped and killed": (
        "tests/integration/billing_service/test_embedded_postgres.py",
    ),
    "the exchange that must survive everything": ("tests/integration/sip_proxy/test_hostile_input.py",),
    "an exchange for phones": ("tests/integration/softphone/test_phones_and_exchange.py",),
    "the sample data": ("tests/scenario/test_sample_data.py",),
    "walks through years of bills": ("tests/scenario/test_calendar_walks.py",),
}


def group_of(nodeid: str) -> str:
    """The name of the group that a test belongs to; its own id if it may run anywhere."""
    for name, paths in SHARING.items():
        if nodeid.startswith(paths):
            return name
    return nodeid


def make_once(factory: pytest.TempPathFactory, what: str) -> None:
    """Note that this process makes something for all tests that share it.

    Raises `AssertionError` when another process of the same run has: then they are not together.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        # The folder of the run, in which each process has its own.
        maker = factory.getbasetemp().parent / f"made once: {what}"
        try:
            with maker.open("x") as file:
                file.write(worker)
        except FileExistsError:
            raise AssertionError(
                f"{maker.read_text()} has made {what} already; see {__name__}.SHARING"
            ) from None


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the groups first, then test by test."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Take part in pytest-xdist's choice of how tests are distributed."""
    return GroupScheduling(config, log)
