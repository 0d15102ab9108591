"""The directory feed: whole first, then every change, in order, soon, and none missed."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from billing_service.storage.tables import PhoneAccount
from tests.support.billing import REALM, Billing


async def directory(billing: Billing, since: int = 0, wait: int = 0) -> dict[str, Any]:
    answer = await billing.get("/internal/v1/directory", since=since, wait=wait)
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.body
    return body


@asynccontextmanager
async def waiting(billing: Billing, since: int) -> AsyncIterator["asyncio.Task[dict[str, Any]]"]:
    """A client that waits for a change; the body runs once the service has its request."""
    task = asyncio.create_task(directory(billing, since, wait=30))
    # Handled in order on one loop: when this answer is here, the waiting request has been read.
    await directory(billing, since)
    assert not task.done()
    yield task
    if not task.done():
        task.cancel()


async def test_the_first_answer_is_the_whole_directory(billing: Billing) -> None:
    account = await billing.add_account(
        "0001",
        display_name="Alice",
        call_limit=2,
        outgoing_filter=[{"pattern": "9#*", "action": "deny"}],
        incoming_filter=[{"pattern": "0003", "action": "allow"}],
        block_list=["0004"],
    )
    answer = await directory(billing)
    secret = f"0001:{REALM}:{account['sip_password']}".encode()
    assert answer == {
        "version": answer["version"],
        "full": True,
        "realm": REALM,
        "settings": {
            "concurrent_call_limit": None,
            "emergency_numbers": ["9911", "4911"],
            "ring_time_s": 60,
            "phone_test_interval_s": 0,
        },
        "accounts": [
            {
                "number": "0001",
                "state": "active",
                "display_name": "Alice",
                "ha1_md5": hashlib.md5(secret).hexdigest(),
                "ha1_sha256": hashlib.sha256(secret).hexdigest(),
                "call_limit": 2,
                "outgoing_filter": [{"pattern": "9#*", "action": "deny"}],
                "incoming_filter": [{"pattern": "0003", "action": "allow"}],
                "block_list": ["0004"],
            }
        ],
        "removed": [],
    }


async def test_only_what_changed_follows(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.add_account("0002")
    version = (await directory(billing))["version"]
    assert await directory(billing, version) == {
        "version": version,
        "full": False,
        "realm": REALM,
        "settings": (await directory(billing))["settings"],
        "accounts": [],
        "removed": [],
    }

    await billing.post("/v1/phone-accounts/0002/suspend")

    answer = await directory(billing, version)
    assert not answer["full"]
    assert answer["version"] > version
    assert [(account["number"], account["state"]) for account in answer["accounts"]] == [
        ("0002", "suspended")
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/phone-accounts/0001", {"display_name": "Somebody else"}),
        ("PATCH", "/v1/phone-accounts/0001", {"call_limit": 1}),
        ("PATCH", "/v1/phone-accounts/0001", {"block_list": ["0002"]}),
        ("PATCH", "/v1/phone-accounts/0001", {"outgoing_filter": [{"pattern": "*", "action": "deny"}]}),
        ("POST", "/v1/phone-accounts/0001/suspend", None),
        ("POST", "/v1/phone-accounts/0001/close", None),
        ("POST", "/v1/phone-accounts/0001/sip-password", {}),
        ("PATCH", "/v1/settings", {"ring_time_s": 30}),
        ("PATCH", "/v1/settings", {"emergency_numbers": ["112"]}),
        ("PATCH", "/v1/settings", {"concurrent_call_limit": 10}),
    ],
)
async def test_a_change_reaches_a_waiting_exchange_at_once(
    billing: Billing, method: str, path: str, body: Any
) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]
    async with waiting(billing, version) as task:
        assert (await billing.request(method, path, json=body)).status == 200
        answer = await asyncio.wait_for(task, 15)  # half of what it would wait for nothing
    assert answer["version"] > version
    if "settings" in path:
        assert answer["settings"] == (await directory(billing))["settings"]
        assert answer["accounts"] == []
    else:
        assert [account["number"] for account in answer["accounts"]] == ["0001"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/phone-accounts/0001", {"billing_day": 3}),
        ("PATCH", "/v1/phone-accounts/0001", {"call_limit": None}),
        ("PATCH", "/v1/settings", {"payment_term_days": 30}),
        ("POST", "/v1/customers", {"name": "Bob"}),
    ],
)
async def test_what_the_exchange_need_not_know_does_not_wake_it(
    billing: Billing, method: str, path: str, body: Any
) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]
    assert (await billing.request(method, path, json=body)).status in (200, 201)
    assert (await directory(billing, version))["version"] == version


async def test_waiting_ends_with_the_same_version_when_nothing_changes(billing: Billing) -> None:
    version = (await directory(billing))["version"]
    started = time.monotonic()
    answer = await directory(billing, version, wait=1)
    assert time.monotonic() - started >= 1
    assert (answer["version"], answer["full"], answer["accounts"]) == (version, False, [])


async def test_a_change_that_is_rolled_back_is_no_change(billing: Billing) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]

    class Broken(Exception):
        pass

    def work(session: Session) -> None:
        session.execute(update(PhoneAccount).values(display_name="nobody"))
        raise Broken

    with pytest.raises(Broken):
        await billing.database.run(work)
    assert (await directory(billing, version))["version"] == version


@pytest.mark.parametrize("offset", [1, 10**6])
async def test_a_version_that_was_never_given_gets_everything(billing: Billing, offset: int) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]
    for since in (version + offset, version - offset - 10):
        answer = await directory(billing, since, wait=5)  # and does not wait
        assert answer["full"]
        assert [account["number"] for account in answer["accounts"]] == ["0001"]


async def test_a_number_that_no_longer_exists_is_told_until_it_exists_again(billing: Billing) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]

    def remove(session: Session) -> None:
        session.execute(text("DELETE FROM account_plan_history"))
        session.execute(text("DELETE FROM account_state_history"))
        session.execute(text("DELETE FROM phone_accounts"))

    await billing.database.run(remove)
    answer = await directory(billing, version)
    assert (answer["accounts"], answer["removed"]) == ([], ["0001"])
    await billing.database.run(
        lambda session: session.execute(text("UPDATE system_settings SET ring_time_s = 30"))
    )
    assert (await directory(billing, answer["version"]))["removed"] == []

    await billing.add_account("0001", customer_id=1, plan_id=1)
    answer = await directory(billing, version)
    assert ([account["number"] for account in answer["accounts"]], answer["removed"]) == (["0001"], [])


async def test_a_renumbered_account_is_removed_under_its_old_number(billing: Billing) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]
    await billing.database.run(lambda session: session.execute(update(PhoneAccount).values(number="0005")))
    answer = await directory(billing, version)
    assert ([account["number"] for account in answer["accounts"]], answer["removed"]) == (["0005"], ["0001"])


async def test_no_change_is_missed_while_many_are_committed_at_once(billing: Billing) -> None:
    """A client that only ever takes changes ends with the same directory as one that takes the whole."""
    customer, plan = await billing.add_customer(), await billing.add_plan()
    numbers = [f"{number:04d}" for number in range(1, 13)]
    for number in numbers:
        await billing.add_account(number, customer_id=customer, plan_id=plan)
    chance = random.Random(7)
    copy: dict[str, Any] = {}
    version = 0
    done = asyncio.Event()

    async def administrator(own: list[str]) -> None:
        for step in range(12):
            path = f"/v1/phone-accounts/{chance.choice(own)}"
            assert (await billing.patch(path, {"display_name": f"{own[0]} {step}"})).status == 200

    async def exchange() -> None:
        nonlocal version
        while True:
            finished = done.is_set()
            answer = await directory(billing, version, wait=0)
            assert answer["version"] >= version
            if answer["full"]:
                copy.clear()
            copy.update({account["number"]: account for account in answer["accounts"]})
            version = answer["version"]
            if finished:
                return

    following = asyncio.create_task(exchange())
    await asyncio.gather(*(administrator(numbers[start::4]) for start in range(4)))
    done.set()
    await following

    whole = await directory(billing)
    assert whole["version"] == version
    assert list(copy.values()) == whole["accounts"]


async def test_two_changes_at_once_in_opposite_order_both_succeed(billing: Billing) -> None:
    """Each holds an account and wants the directory's clock or the other's account: a deadlock, repeated."""
    customer, plan = await billing.add_customer(), await billing.add_plan()
    for number in ("0001", "0002"):
        await billing.add_account(number, customer_id=customer, plan_id=plan)

    def rename(first: str, second: str, name: str) -> Any:
        def work(session: Session) -> None:
            for number in (first, second):
                session.execute(
                    update(PhoneAccount).where(PhoneAccount.number == number).values(display_name=name)
                )
                session.execute(text("SELECT pg_sleep(0.05)"))

        return work

    await asyncio.gather(
        billing.database.run(rename("0001", "0002", "first")),
        billing.database.run(rename("0002", "0001", "second")),
    )
    names = {account["display_name"] for account in (await directory(billing))["accounts"]}
    assert names in ({"first"}, {"second"})


@pytest.mark.parametrize(
    "query",
    [
        {"since": "-1"},
        {"since": "x"},
        {"since": "1.5"},
        {"since": "9" * 40},
        {"since": "١"},
        {"wait": "61"},
        {"wait": "-1"},
        {"wait": "nan"},
        {"since": ""},
        {"sinc": "1"},
        {"since": "\x00"},
    ],
)
async def test_a_strange_question_is_refused_by_name(billing: Billing, query: dict[str, str]) -> None:
    answer = await billing.get("/internal/v1/directory", **query)
    assert answer.status == 422
    assert set(answer.fields()) == set(query)


async def test_a_stopping_service_lets_its_waiters_go(billing: Billing) -> None:
    version = (await directory(billing))["version"]
    async with waiting(billing, version) as task:
        await billing.client.server.runner.shutdown()
        answer = await asyncio.wait_for(task, 15)  # half of what it would wait for nothing
    assert (answer["version"], answer["accounts"]) == (version, [])


async def test_a_watch_that_lost_its_connection_listens_again(billing: Billing) -> None:
    await billing.add_account("0001")
    version = (await directory(billing))["version"]

    def break_watch(session: Session) -> int:
        return int(
            session.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
                    "WHERE application_name = 'tollbell-directory-watch' "
                    "AND datname = current_database()"
                )
            ).scalar_one()
        )

    async with waiting(billing, version) as task:
        assert await billing.database.run(break_watch) == 1
        await billing.post("/v1/phone-accounts/0001/suspend")
        answer = await asyncio.wait_for(task, 5)
    assert answer["accounts"][0]["state"] == "suspended"

    async with waiting(billing, answer["version"]) as task:
        await billing.post("/v1/phone-accounts/0001/reactivate")
        answer = await asyncio.wait_for(task, 5)
    assert answer["accounts"][0]["state"] == "active"
