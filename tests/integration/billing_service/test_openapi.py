"""The OpenAPI document: what it says of the operations, and the page that shows it."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from billing_service.app import OPERATION_MODULES
from billing_service.http_api.openapi import path_of
from tests.support.billing import TOKEN, Billing, call_record
from tests.support.browser import Complaints, chromium, fresh_profile


async def document(billing: Billing) -> Any:
    async with billing.client.get("/v1/openapi.json") as response:
        assert response.status == 200
        return json.loads(await response.read())


async def test_the_document_needs_no_token_and_has_every_operation(billing: Billing) -> None:
    read = await document(billing)
    assert read["openapi"] == "3.1.0"
    described = {
        (method.upper(), path) for path, operations in read["paths"].items() for method in operations
    }
    declared = {
        (operation.method, path_of(operation.path)[0])
        for module in OPERATION_MODULES
        for operation in module.operations.all
        if operation.documented
    }
    assert described == declared
    # Every route is an operation: there is no other way in.
    routed = {
        (route.method, route.resource.canonical)
        for route in billing.client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert described <= routed
    assert {path for _, path in routed - described} == {"/v1/ui", "/v1/ui/{file}"}


async def test_operations_have_names_of_their_own_and_say_what_they_take(billing: Billing) -> None:
    read = await document(billing)
    operations = [one for path in read["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["summary"]
        assert operation["security"] or operation["operationId"] in {
            "get_health",
            "get_metrics",
            "get_openapi",
        }
    edit = read["paths"]["/v1/customers/{id}"]["patch"]
    assert edit["security"] == [{"token": ["customers:write"]}]
    assert {parameter["name"] for parameter in edit["parameters"]} == {"id", "If-Match"}
    assert {"200", "412", "428", "422", "404", "401", "403", "413"} <= edit["responses"].keys()
    assert edit["responses"]["200"]["headers"].keys() == {"ETag"}
    payment = read["paths"]["/v1/payments"]["post"]
    key = next(one for one in payment["parameters"] if one["name"] == "Idempotency-Key")
    assert key["required"] is True
    limit = next(one for one in read["paths"]["/v1/calls"]["get"]["parameters"] if one["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}


async def test_every_schema_is_one_and_every_reference_leads_somewhere(billing: Billing) -> None:
    read = await document(billing)
    for schema in read["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(inner) for inner in value.values()))
        return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()

    there = {f"#/components/schemas/{name}" for name in read["components"]["schemas"]}
    assert references(read) <= there


async def test_who_asks_for_the_head_gets_the_head(billing: Billing) -> None:
    await billing.add_account("0001")
    await billing.deliver(call_record(1))
    await billing.close_ahead("2026-12-22T00:00:00Z")
    there = {"record_id": f"{1:032x}", "subscriber": "0001", "login": "nobody", "id": "1"}
    queries = {"/v1/bills/print": {"closed_on": "2026-12-22", "format": "zip"}}
    for path, operations in (await document(billing))["paths"].items():
        if "get" not in operations:
            continue
        number = "2026-000001" if path.startswith("/v1/bills/") else "0001"
        address = path.format_map({**there, "number": number}) if "{" in path else path
        got = {}
        for method in ("GET", "HEAD"):
            async with billing.client.request(
                method, address, headers={"Authorization": f"Bearer {TOKEN}"}, params=queries.get(path)
            ) as response:
                body = await response.read()
                got[method] = (response.status, response.content_type)
        assert body == b"", path
        assert got["HEAD"] in (got["GET"], (405, "application/problem+json")), path


@pytest.mark.parametrize(
    ("path", "written", "patterns"),
    [
        ("/v1/plans", "/v1/plans", {}),
        ("/v1/plans/{id:[0-9]{1,18}}/x", "/v1/plans/{id}/x", {"id": "^[0-9]{1,18}$"}),
        ("/a/{b}/{c:x{2}}", "/a/{b}/{c}", {"b": "^[^/]+$", "c": "^x{2}$"}),
    ],
)
def test_a_path_is_written_as_the_document_wants_it(
    path: str, written: str, patterns: dict[str, str]
) -> None:
    assert path_of(path) == (written, patterns)


@pytest.mark.parametrize(
    "path", ["/v1/ui/nothing.js", "/v1/ui/..%2fdocument.py", "/v1/ui/ui.html", "/v1/ui/"]
)
async def test_the_page_gives_away_no_other_file(billing: Billing, path: str) -> None:
    assert (await billing.get(path)).status == 404


async def test_the_page_shows_the_document_and_tries_an_operation(billing: Billing) -> None:
    await billing.add_customer("Alice in the browser")
    base = str(billing.client.make_url("/")).rstrip("/")
    complaints = Complaints()
    async with chromium() as browser, fresh_profile(browser) as profile:
        page = await profile.new_page()
        complaints.watch(page)
        await page.goto(f"{base}/v1/ui")
        await page.get_by_role("button", name="Authorize").first.click()
        await page.get_by_label("auth-bearer-value").fill(TOKEN)
        await page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
        await page.locator(".modal-ux").get_by_role("button", name="Close").click()
        await page.locator("#operations-tag-customers").click()
        operation = page.locator("#operations-customers-get_customers")
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        await operation.get_by_role("button", name="Execute").click()
        await (
            operation.locator(".responses-table.live-responses-table")
            .get_by_text("Alice in the browser")
            .first.wait_for()
        )
        assert complaints.texts == []
