"""`kill -9` of the exchange at random instants under load: nothing lost or doubled."""

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fake_billing import FakeBilling
from tests.support.honest_phones import crowd, impatient_plan
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.reconciliation import reconcile
from tests.support.system import eventually

# Minutes long: `make soak` runs it, `make test` does not.
pytestmark = pytest.mark.soak

# `make soak` asks for more of them.
KILLS = int(os.environ.get("TOLLBELL_TEST_KILLS", "10"))
CALLS_PER_S = 30
# Long enough for what is done some seconds after a restart.
LONGEST_LIFE_S = 8.0
# A short T1 lets the phones give up in 13 s where they can't succeed, and try at all instants of a restart.
T1_S = 0.2

# Should all copies of a BYE fall into the gaps, the exchange asks the phones and hears that the call is over.
PING_S = 5


@pytest.fixture
def proxy(tmp_path: Path, billing: FakeBilling) -> Iterator[ProxyProcess]:
    """A running exchange that soon asks silent phones for signs of life."""
    with running_proxy(tmp_path / "var", billing, TOLLBELL_SIP_PING_S=str(PING_S)) as proxy:
        yield proxy


@pytest.mark.timeout(120 + 20 * KILLS)
def test_the_exchange_is_killed_at_random_instants(
    proxy: ProxyProcess,
    billing: FakeBilling,
    accounts: dict[str, str],
    say: Callable[[str], None],
) -> None:
    seed = int(os.environ.get("TOLLBELL_TEST_SEED", time.time_ns() % 1_000_000))
    dice = random.Random(seed)
    with crowd(proxy.address("udp"), accounts, seed=seed, plan=impatient_plan, t1_s=T1_S) as phones:
        phones.start_calling(CALLS_PER_S)
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.3, LONGEST_LIFE_S))
            proxy.kill()
            proxy.start()
        time.sleep(1)
        phones.stop_calling()
        phones.wait_until_over()
        eventually(
            lambda: not proxy.control("GET", "/v1/calls").body["items"], "the exchange has no calls left", 40
        )
        eventually(
            lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "all records arrive"
        )
    found = reconcile(phones.all_attempts(), billing.records.values(), exchange_died=True)
    say(f"{KILLS} times kill -9 (seed {seed}): {found}")

    assert not found.differences, "\n".join(found.differences)
    assert found.answered > 5 * KILLS
    assert found.ended_by_exchange <= found.answered / 100
