"""Requests that schemathesis invents from the OpenAPI document: none makes the service fail or break its word."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.billing import TOKEN, Billing, call_record

SHORT_S = 30
SECONDS = int(os.environ.get("TOLLBELL_TEST_INVENT_S", SHORT_S))
# What the document says must hold for every answer. Which requests are good is not wholly in it (there must
# be such a customer), so that a refusal of one is no mistake.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)


def failures(text: str) -> str:
    """The part of what schemathesis says that tells the failures, without the longest lines."""
    return "\n".join(line[:500] for line in text.splitlines() if line.strip())[-20_000:]


async def furnish(billing: Billing) -> None:
    """Something of every kind, so that what is invented meets something."""
    await billing.add_account("0001", block_list=["0002"])
    await billing.add_account("0002")
    await billing.deliver(call_record(1), call_record(2, status=42), call_record(3, caller="0002"))
    await billing.post("/v1/bills/close-due", {"as_of": "2027-02-21T00:00:00Z"})
    for login in ("ann", "bob"):
        await billing.acting_as(login)
    await billing.post("/v1/tokens", {"name": "statistics", "scopes": ["calls:read"]})
    payment = {"account": "0001", "amount": "5.00"}
    await billing.post("/v1/payments", payment, headers={"Idempotency-Key": "one"})


@pytest.mark.timeout(SECONDS * 3 + 120)
async def test_no_invented_request_finds_a_fault(billing: Billing, tmp_path: Path) -> None:
    await furnish(billing)
    program = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        str(billing.client.make_url("/v1/openapi.json")),
        f"--header=Authorization: Bearer {TOKEN}",
        f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        f"--max-time={SECONDS}",
        # `make test` invents the same ones every time, so that a red run means a change.
        *(["--seed=1"] if SECONDS == SHORT_S else []),
        "--no-color",
        "--continue-on-failure",
        "--warnings=off",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--request-timeout=20",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    text = said.decode(errors="replace")
    assert program.returncode == 0, failures(text)
    assert "passed" in text, text[-2_000:]
