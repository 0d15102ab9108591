"""Billing is away, slow to say, or not itself: the pages come up, say so, and recover."""

import pytest

from tests.support.console import Console

PARTIAL_PAGES = [
    "/",
    "/customers",
    "/customers/1",
    "/accounts",
    "/accounts/0001",
    "/bills",
    "/calls",
    "/errors",
]
WHOLE_PAGES = ["/bills/2026-000001", "/accounts/0001/open-bill", "/calls/00000000000000000000000000000001"]


@pytest.mark.parametrize("path", PARTIAL_PAGES)
async def test_lists_come_up_without_billing_and_recover(inside: Console, path: str) -> None:
    await inside.billing.stop()
    answer = await inside.get(path)
    assert answer.status == 503
    assert "The billing service can&#39;t be reached" in answer.text
    assert f'hx-get="{path}" hx-trigger="every 2s"' in answer.text
    await inside.billing.start()
    recovered = await inside.get(path)
    assert recovered.status == 200
    assert "can&#39;t be reached" not in recovered.text
    assert 'hx-trigger="every 2s"' not in recovered.text


@pytest.mark.parametrize("path", WHOLE_PAGES)
async def test_documents_say_that_they_can_not_be_had_now(inside: Console, path: str) -> None:
    await inside.billing.stop()
    answer = await inside.get(path)
    assert answer.status == 503
    assert "tries again by itself" in answer.text
    await inside.billing.start()
    assert (await inside.get(path)).status == 200


@pytest.mark.parametrize("path", ["/live", "/phones"])
async def test_the_live_pages_do_without_billing(inside: Console, path: str) -> None:
    await inside.billing.stop()
    answer = await inside.get(path)
    assert answer.status == 200
    assert "0002" in answer.text


async def test_suspending_without_billing_is_told(inside: Console) -> None:
    token = await inside.csrf_token()
    await inside.billing.stop()
    answer = await inside.post("/accounts/0001/suspend", {"csrf_token": token})
    assert answer.status == 409
    assert "can&#39;t be reached" in answer.text


async def test_the_time_zone_is_remembered_while_billing_is_away(inside: Console) -> None:
    assert "Europe/Zurich" in (await inside.get("/live")).text
    await inside.billing.stop()
    inside.clock.advance(minutes=5)
    assert "Europe/Zurich" in (await inside.get("/live")).text


async def test_an_answer_that_breaks_the_contract_is_told_with_its_place(inside: Console) -> None:
    inside.billing.broken = True
    answer = await inside.get("/accounts")
    assert answer.status == 200
    assert "gave an unexpected answer to /v1/phone-accounts (items.0.number" in answer.text


async def test_the_console_is_healthy_without_both(inside: Console) -> None:
    await inside.billing.stop()
    await inside.exchange.stop()
    assert (await inside.get("/health")).status == 200
