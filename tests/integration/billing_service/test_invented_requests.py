"""Requests that schemathesis invents from the OpenAPI document: none makes the service break its word."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.billing import TOKEN, Billing, call_record

SHORT_S = 18
SECONDS = int(os.environ.get("TOLLBELL_TEST_INVENT_S", SHORT_S))
# What the document says must hold for every answer. Which requests are good is not wholly in it (there must
# be such a customer), so that a refusal of one is no mistake.
PROMISES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# What `furnish` makes: a number drawn at random is hardly ever somebody's.
THERE_IS = {
    "account": ["0001", "0002"],
    "subscriber": ["0001", "0002"],
    "caller": ["0001", "0002", "0041441234567"],
    "callee": ["0001", "0002", "0041441234567"],
    "login": ["ann", "bob"],
    "record_id": [f"{number:032x}" for number in (1, 3)],
    "bill": ["2026-000001", "2027-000001"],
    "customer_id": [1, 2],
    "plan_id": [1, 2],
    "month": [11, 12],
    "year": [2026],
    "closed_on": ["2027-02-21"],
}


def failures(text: str) -> str:
    """The part of what schemathesis says that tells the failures, without the longest lines."""
    return "\n".join(line[:500] for line in text.splitlines() if line.strip())[-20_000:]


async def furnish(billing: Billing) -> None:
    """Something of every kind, so that what is invented meets something."""
    prefix = {"destination_prefix": "0041", "price": {"per_minute": "0.30", "standing_charge": "0.05"}}
    plan = await billing.add_plan("Abroad", tariffs=[prefix], included_minutes=10)
    await billing.add_account("0001", plan_id=plan, block_list=["0002"])
    await billing.add_account("0002")
    await billing.deliver(
        call_record(1, callee="0041441234567"), call_record(2, status=42), call_record(3, caller="0002")
    )
    await billing.close_ahead("2027-02-21T00:00:00Z")
    for login in ("ann", "bob"):
        await billing.acting_as(login)
    await billing.post("/v1/tokens", {"name": "statistics", "scopes": ["calls:read"]})
    payment = {"account": "0001", "amount": "5.00"}
    await billing.post("/v1/payments", payment, headers={"Idempotency-Key": "one"})


def of_what_there_is(document: Any) -> Any:
    """The same document with a choice of what there is wherever something is named."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if name == "number" or (name == "id" and parameter["in"] == "path"):
                    wanted = ["2026-000001", "2027-000001"] if "/bills/" in path else ["0001", "0002"]
                    parameter["schema"] = {"enum": wanted if name == "number" else ["1", "2"]}
                elif name in THERE_IS:
                    parameter["schema"] = {"enum": THERE_IS[name]}
    for title, schema in document["components"]["schemas"].items():
        if "Answer" in title:
            continue
        for name in schema.get("properties", {}).keys() & THERE_IS.keys():
            schema["properties"][name] = {"enum": THERE_IS[name]}
    return document


async def invent(schema: str, where: Path, *options: str) -> str:
    """Let schemathesis invent requests; return what it says about faults, nothing when there are none."""
    # Any refusal is one, such as 413 of a list that is too long in a body that is too large.
    (where / "schemathesis.toml").write_text(
        '[checks.negative_data_rejection]\nexpected-statuses = ["4xx"]\n'
    )
    program = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        schema,
        f"--header=Authorization: Bearer {TOKEN}",
        f"--max-time={SECONDS}",
        # `make test` invents the same ones every time, so that a red run means a change.
        *(["--seed=1"] if SECONDS == SHORT_S else []),
        "--no-color",
        "--continue-on-failure",
        "--warnings=off",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--request-timeout=20",
        *options,
        cwd=where,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    text = said.decode(errors="replace")
    if program.returncode == 0 and "passed" in text:
        return ""
    return failures(text)


@pytest.mark.timeout(SECONDS * 3 + 120)
async def test_no_invented_request_finds_a_fault(billing: Billing, tmp_path: Path) -> None:
    await furnish(billing)
    faults = await invent(
        str(billing.client.make_url("/v1/openapi.json")),
        tmp_path,
        f"--checks={','.join((*PROMISES, 'negative_data_rejection', 'ignored_auth'))}",
        "--phases=examples,coverage,fuzzing",
    )
    assert not faults, faults


@pytest.mark.timeout(SECONDS * 3 + 120)
async def test_no_invented_request_about_what_there_is_finds_a_fault(
    billing: Billing, tmp_path: Path
) -> None:
    await furnish(billing)
    document = of_what_there_is((await billing.get("/v1/openapi.json")).body)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    faults = await invent(
        "openapi.json",
        tmp_path,
        f"--url={billing.client.make_url('/')}",
        f"--checks={','.join(PROMISES)}",
        "--phases=coverage,fuzzing",
        "--mode=positive",
    )
    assert not faults, faults
