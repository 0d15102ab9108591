"""Files of calls: what is written is read back, and nothing that a line may hold stops the file."""

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.call_files.formats import FORMATS, reader_of
from billing_service.call_files.lines import read_blocks
from billing_service.call_files.own_csv import write_calls
from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.storage.storable_text import is_storable
from tests.support.call_files import KAMAILIO_HEADER, asterisk_line, freeswitch_line, kamailio_line
from tests.support.examples import examples

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
INSTANTS = st.integers(-(10**15), 10**15).map(lambda us: NOON + timedelta(microseconds=us))
MAYBE = st.one_of(st.none(), INSTANTS)
TEXTS = st.text(max_size=30).filter(is_storable)


@st.composite
def some_calls(draw: st.DrawFn) -> Call:
    """A call with any facts that its form allows, however absurd."""
    outcome, answered_at = draw(st.sampled_from(Outcome)), draw(MAYBE)
    return Call(
        record_id=draw(st.text("0123456789abcXYZ._-", min_size=1, max_size=64)),
        call_id=draw(TEXTS.filter(bool)),
        caller=draw(st.text("0123456789", min_size=2, max_size=15)),
        callee=draw(st.one_of(st.text("0123456789", min_size=1, max_size=15), st.sampled_from(["s", "*97"]))),
        emergency=draw(st.booleans()),
        invited_at=draw(INSTANTS),
        ringing_at=draw(MAYBE),
        answered_at=answered_at,
        acknowledged_at=draw(MAYBE),
        ended_at=draw(INSTANTS),
        duration_us=draw(st.integers(0, 2**53)),
        outcome=outcome,
        status=draw(st.integers(100, 699)),
        reason=draw(TEXTS),
        ended_by=draw(st.sampled_from(EndedBy)),
    )


@given(st.lists(some_calls(), max_size=5), st.sampled_from([300, 2**20]))
@settings(max_examples=examples(60))
def test_what_is_written_is_read_back(calls: list[Call], block_bytes: int) -> None:
    file = io.BytesIO("".join(write_calls(calls)).encode())
    reader = reader_of("tollbell", zone=ZoneInfo("Asia/Tokyo"), emergency_numbers=frozenset())
    read = [
        parsed.content
        for block in read_blocks(file, block_bytes=block_bytes)
        for parsed in reader.read(block.lines)
    ]
    assert read == calls


SAMPLES = {
    "asterisk": asterisk_line("9991", "9992", NOON, 60),
    "freeswitch": freeswitch_line("9991", "9992", NOON, 60),
    "kamailio": kamailio_line("9991", "9992", NOON, 60),
    "tollbell": "9991,9992,2026-11-21T12:00:00Z,60\n",
    "events": '{"id":1,"type":"end","timestamp":"2026-11-21T12:00:00Z","call_id":70}\n',
}
HEADERS = {"kamailio": KAMAILIO_HEADER, "tollbell": "caller,callee,answered_at,duration_s\n"}


@given(st.data(), st.sampled_from(FORMATS))
@settings(max_examples=examples(150))
def test_a_damaged_line_never_stops_the_file(data: st.DataObject, name: str) -> None:
    sample = SAMPLES[name].encode()
    at, length = data.draw(st.integers(0, len(sample) - 1)), data.draw(st.integers(0, 10))
    damage = data.draw(st.binary(max_size=10)).replace(b"\n", b"")
    damaged = (sample[:at] + damage + sample[at + length :]).replace(b"\n", b"") + b"\n"
    file = io.BytesIO(HEADERS.get(name, "").encode() + sample + damaged + sample)
    reader = reader_of(name, zone=ZoneInfo("Europe/Zurich"), emergency_numbers=frozenset())

    parsed = [one for block in read_blocks(file) for one in reader.read(block.lines)]

    first, *middle, last = (one.content for one in parsed)
    assert not isinstance(first, str)
    assert last == first
    assert len(middle) <= 1
