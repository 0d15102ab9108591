"""Tests that share what takes long to make are in one test process."""

from pathlib import Path

import pytest

from tests.support.distribution import SHARING, group_of, make_once

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", [path for paths in SHARING.values() for path in paths])
def test_every_group_has_tests(path: str) -> None:
    assert (ROOT / path).exists()


def test_tests_of_a_group_are_one_unit_of_work_and_the_others_one_each() -> None:
    nodeids = [
        "tests/browser/test_console.py::test_a",
        "tests/browser/test_real_system.py::test_b[@x]",
        "tests/end_to_end/test_ghost_calls.py::test_c",
        "tests/unit/test_d.py::test_d[1]",
        "tests/unit/test_d.py::test_d[2]",
    ]

    assert [group_of(nodeid) for nodeid in nodeids] == [
        "the browser",
        "the browser",
        "a system that pings",
        nodeids[3],
        nodeids[4],
    ]


def test_what_is_made_twice_in_a_run_is_told(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw7")
    monkeypatch.setattr(tmp_path_factory, "getbasetemp", lambda: tmp_path / "popen-gw7")
    make_once(tmp_path_factory, "a thing")

    with pytest.raises(AssertionError, match="gw7 has made a thing already"):
        make_once(tmp_path_factory, "a thing")
