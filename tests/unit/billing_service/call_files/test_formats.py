"""Files of calls in the formats of other exchanges: what a line means, and what harms it."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from billing_service.call_files.formats import FORMATS, reader_of, recognise
from billing_service.call_files.lines import UnableToReadFile, read_blocks
from billing_service.domain.call import Call, Outcome
from billing_service.domain.call_event import CallEvent
from tests.support.call_files import KAMAILIO_HEADER, asterisk_line, freeswitch_line, kamailio_line

ANSWERED_AT = datetime(2016, 2, 29, 21, 57, 13, tzinfo=UTC)
EVENT = '{"id":1,"type":"end","timestamp":"2016-02-29T14:00:00","call_id":70}\n'


def contents(
    text: str | bytes, *, name: str | None = None, zone: str = "UTC", block_bytes: int = 2**20
) -> list[Call | CallEvent | str]:
    """What the lines of a file say, read as the import reads it."""
    raw = text.encode() if isinstance(text, str) else text
    found: list[Call | CallEvent | str] = []
    reader = None
    for block in read_blocks(io.BytesIO(raw), block_bytes=block_bytes):
        if reader is None:
            reader = reader_of(
                name or recognise(block.lines), zone=ZoneInfo(zone), emergency_numbers=frozenset({"9911"})
            )
        found += [parsed.content for parsed in reader.read(block.lines)]
    return found


def calls(text: str | bytes, **options: str) -> list[Call]:
    found = contents(text, **options)  # type: ignore[arg-type]
    assert all(isinstance(one, Call) for one in found), found
    return [one for one in found if isinstance(one, Call)]


def reasons(found: Iterable[Call | CallEvent | str]) -> list[str]:
    return [one for one in found if isinstance(one, str)]


FILES = {
    "asterisk": asterisk_line("9991", "9992", ANSWERED_AT, 823),
    "freeswitch": freeswitch_line("9991", "9992", ANSWERED_AT, 823),
    "kamailio": KAMAILIO_HEADER + kamailio_line("9991", "9992", ANSWERED_AT, 823),
    "tollbell": "caller,callee,answered_at,duration_s\n9991,9992,2016-02-29T21:57:13Z,823\n",
    "events": EVENT,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_of_a_file_is_recognised(name: str) -> None:
    (block,) = read_blocks(io.BytesIO(FILES[name].encode()))
    assert recognise(block.lines) == name


@pytest.mark.parametrize("text", ["\n\n", "hello\n", "a,b,c\n1,2,3\n", '"unclosed\n', "\x7fELF\x01\n"])
def test_a_file_of_no_known_format_is_refused(text: str) -> None:
    with pytest.raises(UnableToReadFile, match="not recognised"):
        contents(text)


@pytest.mark.parametrize("name", ["asterisk", "freeswitch", "kamailio", "tollbell"])
def test_each_format_gives_the_same_call(name: str) -> None:
    (call,) = calls(FILES[name])
    assert (call.caller, call.callee, call.outcome) == ("9991", "9992", Outcome.ANSWERED)
    assert call.answered_at == ANSWERED_AT
    assert call.ended_at == datetime(2016, 2, 29, 22, 10, 56, tzinfo=UTC)
    assert call.duration_us == 823_000_000


@pytest.mark.parametrize("name", ["asterisk", "freeswitch", "kamailio"])
def test_local_times_are_read_in_the_zone_given(name: str) -> None:
    line = {
        "asterisk": asterisk_line("9991", "9992", ANSWERED_AT, 823, zone="America/Sao_Paulo"),
        "freeswitch": freeswitch_line("9991", "9992", ANSWERED_AT, 823, zone="America/Sao_Paulo"),
        "kamailio": KAMAILIO_HEADER
        + kamailio_line("9991", "9992", ANSWERED_AT, 823, zone="America/Sao_Paulo"),
    }[name]
    (call,) = calls(line, zone="America/Sao_Paulo")
    assert call.answered_at == ANSWERED_AT


@pytest.mark.parametrize("name", ["asterisk", "freeswitch", "kamailio", "tollbell"])
def test_a_line_makes_the_same_record_id_wherever_it_stands(name: str) -> None:
    line = FILES[name].splitlines(keepends=True)[-1]
    once, again = calls(FILES[name])[0], calls(FILES[name] + line)[1]
    assert once.record_id == again.record_id


def test_a_wrong_zone_gives_other_facts_under_the_same_record_id() -> None:
    right, wrong = calls(FILES["asterisk"])[0], calls(FILES["asterisk"], zone="Asia/Tokyo")[0]
    assert right.record_id == wrong.record_id
    assert right != wrong


def test_master_csv_without_uniqueid_and_with_all_columns() -> None:
    line = asterisk_line("9991", "9992", ANSWERED_AT, 60, uniqueid=False)
    longest = line.rstrip("\n") + ',"1456758000.1","","","1456758000.1",7\n'
    assert len(calls(line)) == 1
    assert calls(longest)[0].call_id == "1456758000.1"


@pytest.mark.parametrize(
    ("disposition", "outcome", "status"),
    [
        ("NO ANSWER", Outcome.NO_ANSWER, 480),
        ("BUSY", Outcome.BUSY, 486),
        ("FAILED", Outcome.FAILED, 500),
        ("CONGESTION", Outcome.FAILED, 500),
    ],
)
def test_an_attempt_that_asterisk_saw_fail(disposition: str, outcome: Outcome, status: int) -> None:
    line = (
        '"","9991","9992","c","9991","SIP/1","","Dial","",'
        f'"2016-02-29 12:00:00",,"2016-02-29 12:00:20",20,0,"{disposition}","DOCUMENTATION"\n'
    )
    (call,) = calls(line)
    assert (call.outcome, call.status, call.answered_at, call.duration_us) == (outcome, status, None, 0)


def test_a_header_gives_asterisk_columns_another_order() -> None:
    (call,) = calls(
        "calldate,clid,src,dst,duration,billsec,disposition,uniqueid\n"
        "2016-02-29 21:57:09,x,9991,9992,827,823,ANSWERED,1.1\n"
    )
    assert (call.answered_at, call.duration_us, call.call_id) == (ANSWERED_AT, 823_000_000, "1.1")


def test_a_template_of_freeswitch_with_blanks_after_commas() -> None:
    spaced = FILES["freeswitch"].replace('","9991","PCMU', '", "9991","PCMU')
    assert spaced != FILES["freeswitch"]
    assert calls(spaced) == calls(FILES["freeswitch"])


def test_what_freeswitch_calls_busy() -> None:
    line = (
        FILES["freeswitch"]
        .replace('"2016-02-29 21:57:13"', '""')
        .replace('"823","NORMAL_CLEARING"', '"0","USER_BUSY"')
    )
    (call,) = calls(line)
    assert (call.outcome, call.reason, call.answered_at) == (Outcome.BUSY, "USER_BUSY", None)


def test_kamailio_without_columns_for_the_numbers_says_what_to_do() -> None:
    found = contents("id,start_time,end_time,duration\n1,2016-02-29 12:00:00,2016-02-29 12:01:00,60.0\n")
    assert reasons(found) == [
        "the file has no columns with the numbers; name them caller and callee in cdr_extra"
    ]


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        # Zurich, 25 October 2026: 02:00 to 03:00 is shown twice.
        ("2026-10-25 01:50:00", "2026-10-25 02:10:00", 20 * 60),
        ("2026-10-25 01:50:00", "2026-10-25 02:10:00", 80 * 60),
        ("2026-10-25 02:50:00", "2026-10-25 02:10:00", 20 * 60),
        ("2026-10-25 02:50:00", "2026-10-25 03:10:00", 80 * 60),
        ("2026-10-25 02:50:00", "2026-10-25 03:10:00", 20 * 60),
        # 29 March 2026: 02:00 to 03:00 is not shown.
        ("2026-03-29 01:50:00", "2026-03-29 03:10:00", 20 * 60),
    ],
)
def test_calls_across_a_clock_change_are_as_long_as_they_were(start: str, end: str, seconds: int) -> None:
    (call,) = calls(f"{KAMAILIO_HEADER}1,{start},{end},{seconds}.0,c,9991,9992\n", zone="Europe/Zurich")
    assert call.duration_us == seconds * 1_000_000
    assert (call.ended_at - call.invited_at).total_seconds() == seconds
    shown = call.ended_at.astimezone(ZoneInfo("Europe/Zurich"))
    assert f"{shown:%Y-%m-%d %H:%M:%S}" == end


GOOD = asterisk_line("9991", "9992", ANSWERED_AT, 60)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (GOOD.replace('"9991"', '"anonymous"'), "src: the caller 'anonymous' is no number"),
        (GOOD.replace('"9991"', '"9"'), "src"),
        (GOOD.replace('"9992"', '""'), "dst: it is missing"),
        (GOOD.replace('"ANSWERED"', '"ASLEEP"'), "disposition: 'ASLEEP'"),
        (GOOD.replace(",60,", ",sixty,"), "billsec: 'sixty' is no number of seconds"),
        (GOOD.replace(",60,", ",-60,"), "billsec"),
        (GOOD.replace(",64,60,", ",3664,60,"), "duration: the duration is not the time between start"),
        (GOOD.replace(",60,", ",10,"), "billsec: it is not the time between answer and end"),
        (GOOD.replace("2016-02-29 21:57:13", "2016-02-30 21:57:13"), "answer: there is no time"),
        (GOOD.replace("2016-02-29 21:57:09", "yesterday"), "start: 'yesterday' is no time"),
        (GOOD.replace("2016-02-29 21:57:09", "9999-12-31 23:59:59"), "start"),
        (GOOD.replace("2016-02-29 21:57:09", "0001-01-01 00:00:00"), "start"),
        (GOOD[:60] + "\n", "row of values"),
        (GOOD[:16] + "\n", "it has 3 columns"),
        ('"never closed\n', "row of values"),
        ("\0" * 10 + "\n", "NUL"),
        ("x" * 70_000 + "\n", "longer than"),
        ("x" * 300_000 + "\n", "longer than"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1000, 2**20])
def test_a_damaged_line_is_told_with_its_reason_and_harms_no_other(
    damaged: str, reason: str, block_bytes: int
) -> None:
    found = contents(GOOD + damaged + GOOD, name="asterisk", block_bytes=block_bytes)
    assert [type(one) for one in found] == [Call, str, Call]
    assert reason in reasons(found)[0]


@pytest.mark.parametrize(
    "instant",
    [
        "9999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "1989-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_an_instant_beyond_all_sense_harms_no_other_line(instant: str) -> None:
    good = "9991,9992,2016-02-29T21:57:13Z,823\n"
    damaged = f"9991,9992,{instant},999999999\n"
    found = contents("caller,callee,answered_at,duration_s\n" + good + damaged + good)
    assert [type(one) for one in found] == [Call, str, Call]
    assert reasons(found)[0].startswith("answered_at")


def test_events_are_read_in_the_zone_given_and_bad_ones_are_told() -> None:
    found = contents(EVENT + "{}\n[]\n{\n" + '{"id":NaN}\n', zone="America/Sao_Paulo")
    assert isinstance(found[0], CallEvent)
    assert found[0].at == datetime(2016, 2, 29, 17, tzinfo=UTC)
    assert "type: it is missing" in reasons(found)[0]
    assert len(reasons(found)) == 4


def test_windows_lines_marks_and_old_encodings_are_fine() -> None:
    text = "\ufeff" + "caller;callee;answered_at;duration_s\r\n9991;9992;2016-02-29T21:57:13Z;823\r\n"
    assert calls(text)[0].duration_us == 823_000_000
    assert len(calls(GOOD.replace("Alice", "Zoë").encode("latin-1"))) == 1
    with pytest.raises(UnableToReadFile, match="UTF-16"):
        contents(GOOD.encode("utf-16"))
