"""Many calls on the whole system while parts of it die or are away: the books equal the phones' own notes."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from tests.support.honest_phones import Crowd, crowd, impatient_plan
from tests.support.ledger import calls_of, open_call_total
from tests.support.reconciliation import reconcile
from tests.support.subscribers import Subscriber
from tests.support.system import System, eventually

# Minutes long: `make soak` runs it, `make test` does not.
pytestmark = pytest.mark.soak

PHONES = 6
CALLS_PER_S = 15
# `make soak` asks for more: a long absence, many deaths.
AWAY_S = float(os.environ.get("TOLLBELL_TEST_AWAY_S", "5"))
KILLS = int(os.environ.get("TOLLBELL_TEST_KILLS", "3"))
# Where the exchange dies during a set-up, phones can only give up; a short T1 makes that sooner.
T1_S = 0.2
PRICE_OF_A_SHORT_CALL = Decimal("0.46")

Say = Callable[[str], None]


@contextmanager
def calling(system: System, subscribers: list[Subscriber]) -> Iterator[Crowd]:
    """Phones of these subscribers call each other until the end of the block, and finish what they began."""
    accounts = {one.number: one.password for one in subscribers}
    host, _, port = system.sip_server("udp").partition(":")
    with crowd((host, int(port)), accounts, seed=3, plan=impatient_plan, t1_s=T1_S) as phones:
        phones.start_calling(CALLS_PER_S)
        yield phones
        phones.stop_calling()
        phones.wait_until_over()


def books_balance(
    system: System, subscribers: list[Subscriber], phones: Crowd, say: Say, *, exchange_died: bool = False
) -> None:
    """Wait until all is delivered; then every record, every price and every open bill must be right."""
    system.wait_until_healthy()
    eventually(
        lambda: system.control("GET", "/health").body["undelivered_records"] == 0, "all records arrive", 60
    )
    numbers = [one.number for one in subscribers]
    calls = calls_of(system, numbers)
    found = reconcile(phones.all_attempts(), calls, exchange_died=exchange_died)
    say(str(found))
    assert not found.differences, "\n".join(found.differences)
    assert found.answered > 0
    owed = Counter[str]()
    for attempt in phones.all_attempts():
        owed[attempt.caller] += attempt.answered is not None
    for number in numbers:
        assert open_call_total(system, number) == owed[number] * PRICE_OF_A_SHORT_CALL


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that is there but does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(120 + 2 * AWAY_S)
def test_postgresql_and_billing_are_away_under_load(
    system: System, subscriber: Callable[..., Subscriber], say: Say
) -> None:
    subscribers = [subscriber() for _ in range(PHONES)]
    with calling(system, subscribers) as phones:
        time.sleep(2)
        with stopped(system.postmaster_pid()):
            time.sleep(AWAY_S / 2)
            with stopped(system.pid_of("billing")):
                time.sleep(AWAY_S / 2)
                waiting = system.control("GET", "/health").body["undelivered_records"]
        time.sleep(2)

    assert waiting > CALLS_PER_S * AWAY_S / 4
    books_balance(system, subscribers, phones, say)


@pytest.mark.timeout(120 + 40 * KILLS)
@pytest.mark.parametrize("parts", [("billing", "postgresql"), ("billing", "postgresql", "proxy")])
def test_parts_are_killed_at_random_instants(
    system: System, subscriber: Callable[..., Subscriber], say: Say, parts: tuple[str, ...]
) -> None:
    dice = random.Random(4)
    subscribers = [subscriber() for _ in range(PHONES)]
    with calling(system, subscribers) as phones:
        for kill in range(KILLS):
            time.sleep(dice.uniform(0.2, 2))
            part = parts[kill % len(parts)]
            if part == "postgresql":
                os.kill(system.postmaster_pid(), signal.SIGKILL)
            else:
                system.kill(part)
            system.wait_until_healthy()

    books_balance(system, subscribers, phones, say, exchange_died="proxy" in parts)
