"""Calls by columns say the same as calls one by one, whatever is in a file."""

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_service.bulk.call_block import CallBlock
from billing_service.call_files.formats import reader_of
from billing_service.call_files.lines import Line, read_blocks
from billing_service.call_files.own_csv import COLUMNS, write_calls
from billing_service.call_files.parsed import ReadsPlainLines
from billing_service.call_files.read_block import read_block
from billing_service.domain.call import Call, contradictions
from tests.property.billing_service.test_call_files import some_calls
from tests.support.examples import examples

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLAIN_LINE = (
    "1a.b_c-d,call-1@10.0.0.1,0001,0002,false,2026-11-21T11:00:00.250000+00:00,,2026-11-21T11:00:02+00:00,,"
    "2026-11-21T11:01:00+00:00,58000000,answered,200,OK,caller"
)
# Values at the edges of what is plain, each of which may stand in any column.
ODD_VALUES = [
    *("", " ", "+4121", "0", "12", "007", "99", "200", "700", "1" * 16, "1" * 17, "true", "TRUE", "t", "é"),
    *("busy", "Answered", "callee", "nobody", "²", "\\n", "a\\\\b", '"a,b"', '"', "'", "a b", "*97"),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 1001, "2026-11-21 11:00:00", "2026-11-21T11:00:00Z"),
    *("2026-11-21T11:00:00.000000+00:00", "2026-11-21T11:00:00.000001+00:00", "2026-11-21T11:00:00+01:00"),
    *("2026-11-21T11:00:00,000000+00:00", "2026-11-21T1/:00:00+00:00", "2026-02-29T11:00:00+00:00"),
    *("2028-02-29T11:00:00+00:00", "2026-13-01T11:00:00+00:00", "2026-00-01T11:00:00+00:00"),
    *("2026-01-00T11:00:00+00:00", "2026-01-31T24:00:00+00:00", "2026-01-31T11:60:00+00:00"),
    *("2026-01-31T11:00:60+00:00", "1999-12-31T23:59:59+00:00", "2199-12-31T23:59:59.999999+00:00"),
    *("2200-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00"),
]


def one_by_one(file: str) -> tuple[list[tuple[int, Call]], list[tuple[Line, str]]]:
    """Calls with the numbers of their lines, and the other lines, read without columns."""
    reader = reader_of("tollbell", zone=ZoneInfo("Asia/Tokyo"), emergency_numbers=frozenset({"112"}))
    calls, rejects = [], []
    for block in read_blocks(io.BytesIO(file.encode()), block_bytes=300):
        for line, content in reader.read(block.lines):
            if isinstance(content, Call):
                calls.append((line.number, content))
            else:
                assert isinstance(content, str)
                rejects.append((line, content))
    return calls, rejects


def by_columns(file: str) -> tuple[list[tuple[int, Call]], list[tuple[Line, str]], list[bytes]]:
    """The same by blocks, and the digests of the calls."""
    reader = reader_of("tollbell", zone=ZoneInfo("Asia/Tokyo"), emergency_numbers=frozenset({"112"}))
    calls, rejects, digests = [], [], []
    for block in read_blocks(io.BytesIO(file.encode()), block_bytes=300):
        read = read_block(block, reader)
        for place, number in enumerate(read.numbers.tolist()):
            calls.append((number, read.calls.call(place)))
        digests += read.calls.digests
        rejects += read.rejects
    return calls, rejects, digests


def same_both_ways(file: str) -> None:
    calls, rejects, digests = by_columns(file)
    assert (calls, rejects) == one_by_one(file)
    assert digests == CallBlock.of([call for _, call in calls]).digests


@given(st.lists(some_calls(), max_size=6), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=examples(40))
def test_written_calls_are_read_alike_by_columns(calls: list[Call], line_end: str) -> None:
    same_both_ways("".join(write_calls(calls)).replace("\n", line_end))


EACH_ODD_VALUE = [[(place, value)] for place in range(len(COLUMNS)) for value in ODD_VALUES]
CHANGES = st.tuples(st.integers(0, len(COLUMNS) - 1), st.sampled_from(ODD_VALUES))


@given(
    st.lists(st.lists(CHANGES, max_size=2), max_size=6),
    st.permutations((*COLUMNS, "price")),
    st.sampled_from([",", ";", "\t", "|"]),
)
@settings(max_examples=examples(30))
@example([[(5, "2026-11-21T11:00:00.000000+00:00")], [(5, "2026-11-21T11:00:00.000001+00:00")]], COLUMNS, ",")
@example(EACH_ODD_VALUE, (*COLUMNS, "price"), ",")
@example([[(5, "2026-11-21T11:00:00,000000+00:00")]], COLUMNS, ";")
def test_odd_values_are_read_alike_by_columns(
    changes: list[list[tuple[int, str]]], header: tuple[str, ...], delimiter: str
) -> None:
    lines = [delimiter.join(header)]
    for changed in changes:
        values = dict(zip(COLUMNS, PLAIN_LINE.split(","), strict=True))
        values.update((COLUMNS[place], value) for place, value in changed)
        lines.append(delimiter.join(values.get(name, "0.10") for name in header))
        lines.append(PLAIN_LINE.replace(",", delimiter))  # now and then one of another width
    same_both_ways("\n".join(lines))


@given(st.lists(some_calls(), max_size=5), st.sampled_from([NOON, NOON - timedelta(days=4000)]))
@settings(max_examples=examples(30))
def test_plain_calls_have_no_contradictions(calls: list[Call], received_at: datetime) -> None:
    block = CallBlock.of(calls)
    assert [block.call(place) for place in range(len(calls))] == calls
    for call, is_plain in zip(calls, block.is_plain(received_at).tolist(), strict=True):
        assert not is_plain or not contradictions(call, received_at=received_at)


def test_a_call_at_the_end_of_the_calendar_is_no_call_and_harms_no_other() -> None:
    at_the_end = PLAIN_LINE.replace("2026-11-21T11:01:00+00:00", "").replace(
        "2026-11-21T11:00", "9999-12-31T23:59"
    )
    calls, rejects = one_by_one("\n".join([",".join(COLUMNS), at_the_end, PLAIN_LINE]))
    assert [number for number, _ in calls] == [3]
    assert [(line.number, reason) for line, reason in rejects] == [
        (2, "answered_at: '9999-12-31T23:59:02+00:00' is not between the years 1990 and 2199")
    ]


def test_lines_as_they_nearly_always_are_are_read_by_columns() -> None:
    reader = reader_of("tollbell", zone=UTC, emergency_numbers=frozenset())
    assert isinstance(reader, ReadsPlainLines)
    assert list(reader.read([Line(1, ",".join(COLUMNS))])) == []
    second, odd = PLAIN_LINE.replace("call-1", "call 2"), PLAIN_LINE.replace("200", "20")
    read = reader.read_plain([PLAIN_LINE, second, odd])
    assert read is not None
    calls, are_plain = read
    assert are_plain.tolist() == [True, True, False]
    assert calls.call_ids == ["call-1@10.0.0.1", "call 2@10.0.0.1"]


def test_a_usual_call_is_plain_and_one_beyond_any_limit_is_not() -> None:
    ((_, usual),), _, _ = by_columns(",".join(COLUMNS) + "\n" + PLAIN_LINE)
    ended_at = usual.ended_at
    block = CallBlock.of([usual])
    assert block.is_plain(ended_at).tolist() == [True]
    assert block.is_plain(ended_at - timedelta(microseconds=1)).tolist() == [False]
    twice = block.followed_by(block).take(np.array([1]))
    assert twice.call(0) == usual
    assert twice.digests == block.digests
