"""Doing something: ending calls, suspending accounts; and forms from elsewhere that do nothing."""

import pytest

from tests.support.console import Console, eventually


async def test_a_call_is_ended_in_the_name_of_the_administrator(inside: Console) -> None:
    token = await inside.csrf_token()
    answer = await inside.post(
        "/live/end", {"call_id": "live-1", "csrf_token": token}, headers={"HX-Request": "true"}
    )
    assert answer.status == 200
    assert "The call from 0001 to 0002 is being ended." in answer.text
    assert "live-1" not in inside.exchange.calls
    assert ("DELETE", "/v1/calls/live-1", "admin") in inside.exchange.requests


async def test_a_call_that_is_over_can_not_be_ended_again(inside: Console) -> None:
    token = await inside.csrf_token()
    answer = await inside.post(
        "/live/end", {"call_id": "no such call", "csrf_token": token}, headers={"HX-Request": "true"}
    )
    assert (answer.status, "was already over" in answer.text) == (200, True)


async def test_a_call_that_could_not_be_ended_is_told(inside: Console) -> None:
    inside.exchange.refuse_to_end = True
    token = await inside.csrf_token()
    answer = await inside.post(
        "/live/end", {"call_id": "live-1", "csrf_token": token}, headers={"HX-Request": "true"}
    )
    assert "The exchange failed (500)" in answer.text
    assert "live-1" in inside.exchange.calls


async def test_without_scripts_ending_a_call_leads_back_to_the_list(inside: Console) -> None:
    token = await inside.csrf_token()
    answer = await inside.post("/live/end", {"call_id": "live-1", "csrf_token": token})
    assert (answer.status, answer.location) == (303, "/live")


@pytest.mark.parametrize("call_id", ["../registrations", "..", "", "a/b?c"])
async def test_a_made_up_call_id_reaches_nothing_else(inside: Console, call_id: str) -> None:
    token = await inside.csrf_token()
    answer = await inside.post(
        "/live/end", {"call_id": call_id, "csrf_token": token}, headers={"HX-Request": "true"}
    )
    assert "was already over" in answer.text
    deleted = [path for method, path, _ in inside.exchange.requests if method == "DELETE"]
    assert all(path.startswith("/v1/calls/") and path.count("/") == 3 for path in deleted)


async def test_an_account_is_suspended_and_reactivated(inside: Console) -> None:
    token = await inside.csrf_token()
    answer = await inside.post("/accounts/0001/suspend", {"csrf_token": token})
    assert (answer.status, answer.location) == (303, "/accounts/0001")
    assert inside.billing.accounts["0001"]["state"] == "suspended"
    assert ("POST", "/v1/phone-accounts/0001/suspend", "admin") in inside.billing.requests
    assert "Reactivate" in (await inside.get("/accounts/0001")).text
    await inside.post("/accounts/0001/reactivate", {"csrf_token": token})
    assert inside.billing.accounts["0001"]["state"] == "active"


async def test_suspending_twice_is_told(inside: Console) -> None:
    token = await inside.csrf_token()
    answer = await inside.post("/accounts/0003/suspend", {"csrf_token": token})
    assert answer.status == 409
    assert "0003 is suspended" in answer.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/live/end", {"call_id": "live-1"}),
        ("/accounts/0001/suspend", {}),
        ("/logout", {}),
        ("/session/keep", {}),
    ],
)
@pytest.mark.parametrize("token", [None, "", "guessed", "é"])
async def test_a_form_without_our_token_does_nothing(
    inside: Console, path: str, form: dict[str, str], token: str | None
) -> None:
    fields = form if token is None else form | {"csrf_token": token}
    answer = await inside.post(path, fields)
    assert answer.status == 403
    assert "live-1" in inside.exchange.calls
    assert inside.billing.accounts["0001"]["state"] == "active"
    assert (await inside.get("/live", follow=False)).status == 200


async def test_the_token_of_another_session_is_of_no_use(inside: Console) -> None:
    token = await inside.csrf_token()
    inside.client.cookie_jar.clear()
    await inside.log_in()
    answer = await inside.post("/accounts/0001/suspend", {"csrf_token": token})
    assert answer.status == 403


@pytest.mark.parametrize("path", ["/logout", "/live/end", "/accounts/0001/suspend"])
async def test_looking_at_an_action_does_nothing(inside: Console, path: str) -> None:
    assert (await inside.get(path)).status in {404, 405}
    assert inside.billing.accounts["0001"]["state"] == "active"


async def test_a_huge_form_is_refused(inside: Console) -> None:
    answer = await inside.post("/live/end", {"call_id": "x" * 100_000})
    assert answer.status == 413
    await eventually(lambda: "live-1" in inside.exchange.calls, "the call goes on")
