"""Rows as lines for COPY: whatever they contain, PostgreSQL reads the same values from them."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_service.storage.call_intake import _copy_line
from tests.support.examples import examples

_MEANT = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
values = st.none() | st.text(st.sampled_from(["a", "N", "\\", "\t", "\n", "\r", "é", '"', ","]), max_size=5)


def read_as_postgresql_does(line: str) -> tuple[str | None, ...]:
    return tuple(
        None if value == "\\N" else re.sub(r"\\(.)", lambda match: _MEANT[match[1]], value)
        for value in line.split("\t")
    )


@given(st.lists(values, min_size=1, max_size=6).map(tuple))
@settings(max_examples=examples(300))
@example((None, "\\N"))
@example(("\\", None, "a\tb"))
def test_a_row_comes_back_from_its_line(row: tuple[str | None, ...]) -> None:
    line = _copy_line(row)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    assert "\r" not in line
    assert read_as_postgresql_does(line[:-1]) == row
