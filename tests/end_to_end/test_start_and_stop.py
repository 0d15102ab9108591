"""`make run` as its user sees it: what it prints, where secrets are, what it says when it can't start."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.system import ROOT, System, running_system


def test_the_summary_says_where_everything_is(system: System) -> None:
    text = "\n".join(system.lines)
    credentials = system.sample_credentials

    assert system.admin_url in text
    assert credentials["administrator"]["password"] in text
    for phone in credentials["phones"]:
        assert phone["number"] in text
        assert phone["password"] in text
    assert "make phone NUMBER=0001" in text
    assert f"TOLLBELL_VAR={system.var}" in text
    assert {"0001", "0002", "0003"} <= {phone["number"] for phone in credentials["phones"]}


def test_secrets_are_readable_by_their_owner_alone(system: System) -> None:
    for name in ("sample-credentials.json", "service-token", "session-secret"):
        assert (system.var / name).stat().st_mode & 0o777 == 0o600, name


def test_the_printed_login_works(system: System) -> None:
    administrator = system.sample_credentials["administrator"]

    assert system.billing("POST", "/v1/login", administrator).status == 200
    wrong = {**administrator, "password": "wrong"}
    assert system.billing("POST", "/v1/login", wrong).status == 401


def test_the_sample_data_has_something_for_every_page(system: System) -> None:
    bills = system.billing("GET", "/v1/bills?limit=200").body["items"]
    calls = system.billing("GET", "/v1/calls?limit=200").body["items"]
    plans = system.billing("GET", "/v1/plans").body["items"]

    assert len(bills) > 10
    assert {"closed", "paid"} <= {bill["state"] for bill in bills}
    assert len(calls) == 200
    windows = [window for plan in plans for window in plan["base_price"]["windows"]]
    assert any(window["weekday"] for window in windows)
    assert any(not window["weekday"] for window in windows)
    assert any(plan["tariffs"] for plan in plans)


def test_a_second_start_finds_everything_as_it_was(var: Path) -> None:
    with running_system(var) as system:
        credentials = system.sample_credentials
        calls = system.billing("GET", "/v1/calls?limit=5").body["items"]

    with running_system(var) as system:
        assert system.sample_credentials == credentials
        assert system.billing("GET", "/v1/calls?limit=5").body["items"] == calls


def test_a_system_without_sample_data_is_empty(var: Path) -> None:
    with running_system(var, TOLLBELL_SAMPLE_DATA="no") as system:
        assert system.billing("GET", "/v1/phone-accounts").body["items"] == []
        assert not (var / "sample-credentials.json").exists()
        assert any("make administrator LOGIN=admin" in line for line in system.lines)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = start_in_vain(tmp_path, TOLLBELL_ADMIN_HTTP=f"127.0.0.1:{port}")

    assert finished.returncode == 1
    assert "TOLLBELL_ADMIN_HTTP" in finished.stderr
    assert str(port) in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    finished = start_in_vain(tmp_path, TOLLBELL_SIP_UDP="everywhere")

    assert finished.returncode == 1
    assert "TOLLBELL_SIP_UDP" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("name", ["BILLING_HTTP", "CONTROL_HTTP", "ADMIN_HTTP"])
def test_every_part_answers_its_health_check_without_a_token(system: System, name: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{system.ports[name]}/health", timeout=5) as answer:
        assert json.loads(answer.read())["status"] == "ok"


def start_in_vain(tmp_path: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tollbell"],
        cwd=ROOT,
        env={**os.environ, "TOLLBELL_VAR": str(tmp_path / "var"), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
