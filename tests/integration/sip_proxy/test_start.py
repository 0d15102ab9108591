"""How the exchange ends when it can't start: one line, and a code that tells settings from the rest."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.environment import clean_environment
from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import running_proxy
from tests.support.system import ROOT


def start_in_vain(var: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment()
    return subprocess.run(
        [sys.executable, "-m", "sip_proxy"],
        cwd=ROOT,
        env={**environment, "TOLLBELL_VAR": str(var), **settings},
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_bad_setting_is_one_line_and_code_2(tmp_path: Path) -> None:
    finished = start_in_vain(tmp_path, TOLLBELL_SIP_WS="somewhere")

    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert "TOLLBELL_SIP_WS" in line
    assert "127.0.0.1:8088" in line


def test_whether_to_run_compiled_is_a_setting_like_others(tmp_path: Path) -> None:
    finished = start_in_vain(tmp_path, TOLLBELL_COMPILED="off")

    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert "TOLLBELL_COMPILED" in line


def test_anything_else_is_one_line_and_code_1(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").mkdir()
    finished = start_in_vain(tmp_path)

    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert "journal.sqlite3" in line


def test_it_says_which_core_it_runs(billing: FakeBilling, tmp_path: Path) -> None:
    with running_proxy(tmp_path / "var", billing) as proxy:
        [listening] = proxy.events("listening")
    expected = "compiled" if os.environ["TOLLBELL_COMPILED"] == "yes" else "interpreted"
    assert listening["core"] == expected
