"""The arrows between the packages, as `pyproject.toml` draws them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_import_contract_is_kept() -> None:
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        (
            r"^\s*(import|from) (asyncio|socket|ssl|time|random|secrets|os|threading)\b",
            ["sip_proxy/core"],
        ),
        (
            r"\.(now|today|utcnow)\(",
            ["billing_service/domain", "billing_service/use_cases", "sip_proxy/core"],
        ),
        (r"\bfloat\b", ["billing_service/domain", "billing_service/storage"]),
    ],
    ids=["no I/O in the core", "no clock inside", "no floating point in money"],
)
def test_what_the_inner_parts_never_say(pattern: str, folders: list[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]

    assert found == []
