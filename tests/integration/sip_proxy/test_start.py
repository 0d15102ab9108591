"""How the exchange ends when it can't start: one line, and a code that tells settings from the rest."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.system import ROOT


def start_in_vain(var: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBELL_")}
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


def test_anything_else_is_one_line_and_code_1(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").mkdir()
    finished = start_in_vain(tmp_path)

    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert "journal.sqlite3" in line
