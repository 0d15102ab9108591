"""The API of webhooks and dead letters."""

import pytest

from billing_service.domain.events import EVENT_KINDS
from billing_service.domain.permissions import Role
from billing_service.http_api.webhooks import EventName
from tests.support.billing import Billing, MakeBilling
from tests.support.receiver import Receiver

URL = "http://127.0.0.1:9/hook"


async def add(billing: Billing, **fields: object) -> dict[str, object]:
    answer = await billing.post("/v1/webhooks", {"url": URL, **fields})
    assert answer.status == 201, answer
    body: dict[str, object] = answer.body
    return body


def test_every_kind_of_event_can_be_asked_for() -> None:
    assert EventName.__args__ == EVENT_KINDS  # type: ignore[attr-defined]


async def test_the_secret_is_shown_once(billing: Billing) -> None:
    made = await add(billing, kinds=["bill.closed"], description="Accounting")

    assert str(made["secret"]).startswith("whsec_")
    shown = await billing.get(f"/v1/webhooks/{made['id']}")
    assert shown.body == {name: value for name, value in made.items() if name != "secret"}
    assert (await billing.get("/v1/webhooks")).body["items"] == [shown.body]


async def test_a_new_secret_is_another_one(billing: Billing) -> None:
    made = await add(billing)

    answer = await billing.post(f"/v1/webhooks/{made['id']}/secret")

    assert answer.status == 200
    assert answer.body["secret"] != made["secret"]


async def test_a_webhook_is_changed_and_removed(billing: Billing) -> None:
    path = f"/v1/webhooks/{(await add(billing))['id']}"

    changed = await billing.patch(path, {"active": False, "kinds": ["bill.paid"]})
    assert (changed.body["active"], changed.body["kinds"], changed.body["url"]) == (False, ["bill.paid"], URL)
    assert (await billing.request("DELETE", path)).status == 204

    assert (await billing.get(path)).status == 404
    assert (await billing.patch(path, {"active": True})).status == 404


async def test_two_administrators_cannot_overwrite_each_other(billing: Billing) -> None:
    path = f"/v1/webhooks/{(await add(billing))['id']}"
    carol, dave = await billing.acting_as("carol"), await billing.acting_as("dave")
    seen = {"If-Match": (await billing.get(path)).headers["ETag"]}

    assert (await billing.patch(path, {"description": "A"}, headers=carol)).status == 428
    assert (await billing.patch(path, {"description": "A"}, headers={**carol, **seen})).status == 200
    assert (await billing.patch(path, {"description": "B"}, headers={**dave, **seen})).status == 412

    assert (await billing.get(path)).body["description"] == "A"


async def test_only_those_who_may_change_webhooks_see_the_whole_address(billing: Billing) -> None:
    path = f"/v1/webhooks/{(await add(billing, url=f'{URL}?token=1'))['id']}"
    for role, seen in (
        (Role.VIEWER, f"{URL}?…"),
        (Role.OPERATOR, f"{URL}?…"),
        (Role.ADMINISTRATOR, f"{URL}?token=1"),
    ):
        who = await billing.acting_as(role.value, role)
        one = await billing.request("GET", path, headers=who)
        listed = await billing.request("GET", "/v1/webhooks", headers=who)
        assert [one.body["url"], listed.body["items"][0]["url"]] == [seen, seen]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://user:word@example.com/"}, "url"),
        ({"url": "http://example.com/#part"}, "url"),
        ({"url": "http://example.com:99999/"}, "url"),
        ({"url": "http://exa mple.com/"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "x" * 3000}, "url"),
        ({"kinds": ["bill.eaten"]}, "kinds[0]"),
        ({"secret": "mine"}, "secret"),
    ],
)
async def test_a_wrong_webhook_is_refused_by_field(
    billing: Billing, fields: dict[str, object], wrong: str
) -> None:
    answer = await billing.post("/v1/webhooks", {"url": URL, **fields})

    assert answer.status == 422
    assert list(answer.fields()) == [wrong]


async def test_events_arrive_while_the_service_runs_and_stand_in_the_log(
    make_billing: MakeBilling, receiver: Receiver
) -> None:
    billing: Billing = await make_billing(sends_events=True)
    made = await add(billing, url=receiver.url, kinds=["account.opened", "account.closed"])
    await billing.add_account("0001")
    await billing.post("/v1/phone-accounts/0001/close")

    await receiver.has(2)

    assert receiver.kinds == ["account.opened", "account.closed"]
    path = f"/v1/webhooks/{made['id']}/deliveries"
    newest, oldest = (await billing.get(path)).body["items"]
    assert (oldest["kind"], oldest["account"], oldest["attempts"]) == ("account.opened", "0001", 1)
    assert newest["event_id"] == receiver.received[1].event["id"]
    assert len((await billing.get(path, limit=1)).body["items"]) == 1
    again = await billing.post(f"{path}/{oldest['id']}/redeliver")
    assert again.status == 202
    await receiver.has(3)
    assert receiver.received[2].body == receiver.received[0].body
    assert (await billing.post(f"{path}/999/redeliver")).status == 404


async def test_there_are_no_dead_letters_without_a_broker(billing: Billing) -> None:
    answer = await billing.get("/v1/dead-letters")

    assert answer.status == 409
    assert "TOLLBELL_BROKER_URL" in answer.body["detail"]
