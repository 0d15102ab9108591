"""Tests whose figures are printed at the end of the run, also when they pass and from whatever process."""

from collections.abc import Callable
from typing import Any

import pytest

_FIGURES = "figures"


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a line of text for the end of the run."""

    def say(text: str) -> None:
        record_property(_FIGURES, text)

    return say


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests had to say."""
    lines = [
        (report.nodeid, text)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, text in getattr(report, "user_properties", ())
        if name == _FIGURES and report.when == "call"
    ]
    if lines:
        terminalreporter.section(_FIGURES)
    for node, text in lines:
        terminalreporter.write_line(f"{node}\n  {text}")
