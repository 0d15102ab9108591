"""Files of calls are imported once, however often they are, and every line is accounted for."""

import csv
import gzip
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from billing_service.call_files.lines import Line, UnableToReadFile
from billing_service.call_files.rejects import RejectsFile
from billing_service.domain.call_event import CloseRequest
from billing_service.storage.tables import Call, CallImport, PhoneAccount, RejectedCallRecord
from billing_service.use_cases.close_bill_request import close_bill_request
from billing_service.use_cases.find_bills import find_bill
from billing_service.use_cases.import_block import Import, Stopped
from billing_service.use_cases.import_calls import import_calls
from billing_service.use_cases.import_runs import Counts, NewImport, begin_import, find_import
from billing_service.use_cases.rate_call import CompiledPlans
from tests.support.billing import Billing
from tests.support.call_files import (
    KAMAILIO_HEADER,
    MORNING_PRICE,
    asterisk_line,
    freeswitch_line,
    kamailio_line,
    set_default_plan,
)

EVENING = datetime(2026, 2, 27, 21, 57, 13, tzinfo=UTC)
MORNING = datetime(2026, 2, 27, 7, 0, tzinfo=UTC)
# The examples of the design: from 21:57:13 to 22:10:56, and to 22:10:56 of the next day.
SHORT_S, LONG_S = 823, 86_400 + 823


@dataclass
class Importer:
    """Imports files into a database as the command does."""

    billing: Billing
    rejects: list[tuple[int, str]] = field(default_factory=list)
    import_id: int | None = None

    def wish(self, **changes: Any) -> Import:
        def reject(line: Line, reason: str) -> None:
            self.rejects.append((line.number, reason))

        values: dict[str, Any] = {
            "format": None,
            "file_zone": UTC,
            "plans": CompiledPlans(),
            "currency": self.billing.settings.currency,
            "zone": self.billing.settings.timezone,
            "clock": self.billing.clock,
            "reject": reject,
            "pause": lambda seconds: True,
            "import_id": self.import_id,
        }
        return Import(**{**values, **changes})

    def __call__(self, file: str | bytes | BinaryIO, **changes: Any) -> Counts:
        if isinstance(file, str):
            file = file.encode()
        opened = io.BytesIO(file) if isinstance(file, bytes) else file
        return import_calls(self.billing.database, opened, self.wish(**changes))

    def count(self, table: type[Any]) -> int:
        return self.billing.database.run_blocking(
            lambda session: session.scalars(select(func.count()).select_from(table)).one()
        )


@pytest.fixture
def importer(billing: Billing) -> Importer:
    return Importer(billing)


def own_csv(calls: Iterable[tuple[str, str, datetime, int]]) -> str:
    lines = [f"{a},{b},{at.isoformat()},{seconds}\n" for a, b, at, seconds in calls]
    return "caller,callee,answered_at,duration_s\n" + "".join(lines)


def event_lines(calls: Iterable[tuple[str, str, datetime, int]]) -> str:
    lines = []
    for number, (source, destination, at, seconds) in enumerate(calls):
        end = at + timedelta(seconds=seconds)
        lines += [
            f'{{"id":{2 * number},"type":"end","timestamp":"{end.isoformat()}","call_id":{number}}}\n',
            f'{{"id":{2 * number + 1},"type":"start","timestamp":"{at.isoformat()}","call_id":{number},'
            f'"source":"{source}","destination":"{destination}"}}\n',
        ]
    return "".join(lines)


EXAMPLES = [("9991", "9992", EVENING, SHORT_S), ("9991", "9993", EVENING, LONG_S)]
EXAMPLE_FILES = {
    "tollbell": own_csv(EXAMPLES),
    "asterisk": "".join(asterisk_line(*call, number=number) for number, call in enumerate(EXAMPLES)),
    "freeswitch": "".join(freeswitch_line(*call, number=number) for number, call in enumerate(EXAMPLES)),
    "kamailio": KAMAILIO_HEADER
    + "".join(kamailio_line(*call, number=number) for number, call in enumerate(EXAMPLES)),
    "events": event_lines(EXAMPLES),
}


@pytest.mark.parametrize("name", EXAMPLE_FILES)
async def test_the_examples_of_the_design_in_every_format_down_to_the_bill(
    billing: Billing, importer: Importer, name: str
) -> None:
    await set_default_plan(billing)

    counts = importer(EXAMPLE_FILES[name])

    assert (counts.rejected, counts.already_had, counts.unrated) == (0, 0, 0)
    assert counts.total_price == Decimal("87.48")
    # Once more, packed: it changes nothing.
    again = importer(gzip.compress(EXAMPLE_FILES[name].encode()))
    assert (again.stored, again.already_had, again.total_price) == (0, counts.stored, 0)
    assert importer.count(Call) == 2
    assert importer.count(RejectedCallRecord) == 0
    number = billing.database.run_blocking(
        lambda session: close_bill_request(
            session,
            CloseRequest("9991", 2, 2026),
            currency=billing.settings.currency,
            zone=UTC,
            at=billing.clock(),
        )
    )
    bill = billing.database.run_blocking(lambda session: find_bill(session, number))
    assert bill is not None
    assert sorted(call["price"] for call in bill["calls"]) == ["0.54", "86.94"]
    assert bill["total"] == "87.48"


async def test_the_morning_example_of_the_design(billing: Billing, importer: Importer) -> None:
    await set_default_plan(billing, MORNING_PRICE)
    counts = importer(own_csv([("9991", "9992", MORNING, 89 * 60 + 20)]))
    assert counts.total_price == Decimal("7.50")  # 60 minutes at 0.10 and 30 at 0.05


async def test_a_dry_run_tells_the_same_and_stores_nothing(billing: Billing, importer: Importer) -> None:
    await set_default_plan(billing)
    file = EXAMPLE_FILES["asterisk"] + "garbage\n"
    dry = importer(file, dry_run=True)
    assert [importer.count(table) for table in (Call, PhoneAccount, CallImport)] == [0, 0, 0]
    assert importer(file) == dry
    assert dry == Counts(3, 2, 0, 1, 2, 0, Decimal("87.48"))


async def test_lines_that_are_no_calls_or_contradict_themselves_are_told(
    billing: Billing, importer: Importer
) -> None:
    await set_default_plan(billing)
    file = (
        "record_id,caller,callee,answered_at,ended_at\n"
        "a,9991,9992,2026-02-27T12:00:00Z,2026-02-27T12:01:00Z\n"
        "b,9991,9992,2026-02-27T12:00:00Z,2026-02-27T11:00:00Z\n"
        "\n"
        "c,nobody,9992,2026-02-27T12:00:00Z,2026-02-27T12:01:00Z\n"
        "a,9991,9992,2026-02-27T12:00:00Z,2026-02-27T13:01:00Z\n"
        "d,9991,9992,2036-02-27T12:00:00Z,2036-02-27T12:01:00Z\n"
    )
    counts = importer(file)
    assert (counts.lines, counts.stored, counts.rejected) == (7, 1, 4)
    reasons = dict(importer.rejects)
    assert list(reasons) == [3, 5, 6, 7]
    assert "ended_at is before answered_at" in reasons[3]
    assert reasons[5].startswith("caller: the caller 'nobody'")
    assert reasons[6] == "another record with this record_id was stored before"
    assert "more than 24 hours after" in reasons[7]


async def test_a_call_that_contradicts_itself_opens_no_account_and_moves_none(
    billing: Billing, importer: Importer
) -> None:
    await set_default_plan(billing)
    header = "caller,callee,invited_at,answered_at,ended_at\n"
    importer(header + "9991,1,2026-02-03T07:00:00Z,2026-02-03T07:00:00Z,2026-02-03T07:01:00Z\n")
    counts = importer(
        header
        + "9991,1,1990-02-01T07:00:00Z,2026-02-04T07:00:00Z,2026-02-04T07:01:00Z\n"
        + "9992,1,1990-02-01T07:00:00Z,2026-02-04T07:00:00Z,2026-02-04T07:01:00Z\n"
    )
    assert (counts.stored, counts.rejected) == (0, 2)
    accounts = billing.database.run_blocking(
        lambda session: session.execute(select(PhoneAccount.number, PhoneAccount.opened_at)).all()
    )
    assert [tuple(row) for row in accounts] == [("9991", datetime(2026, 2, 1, tzinfo=UTC))]


async def test_without_a_default_plan_calls_of_strangers_are_rejected_and_others_stored(
    billing: Billing, importer: Importer
) -> None:
    await billing.add_account("0001")
    at = billing.clock.at + timedelta(minutes=1)
    file = own_csv([("0001", "0002", at, 60), ("7777", "0002", at, 60)])
    counts = importer(file)
    assert (counts.stored, counts.rejected, counts.total_price) == (1, 1, Decimal("0.10"))
    assert "no default plan is set" in importer.rejects[0][1]
    # Once there is one, the same file brings the rest.
    await set_default_plan(billing)
    counts = importer(file)
    assert (counts.stored, counts.already_had, counts.unassigned) == (1, 1, 1)


async def test_times_without_offset_are_of_the_zone_given(billing: Billing, importer: Importer) -> None:
    await set_default_plan(billing)
    line = asterisk_line("9991", "9992", EVENING, SHORT_S, zone="America/Sao_Paulo")
    assert importer(line, file_zone=ZoneInfo("America/Sao_Paulo")).total_price == Decimal("0.54")
    # By mistake in another zone: told, not billed a second time.
    wrong = importer(line, file_zone=ZoneInfo("Asia/Tokyo"))
    assert (wrong.stored, wrong.rejected) == (0, 1)


async def test_the_run_is_noted_as_it_goes(billing: Billing, importer: Importer) -> None:
    await set_default_plan(billing)
    new = NewImport(
        file_name="Master.csv", size_bytes=10, uploaded=False, format=None, timezone="UTC", actor="ann"
    )
    importer.import_id = billing.database.run_blocking(
        lambda session: begin_import(session, new, at=billing.clock()).id
    )
    file = "".join(asterisk_line("9991", "9992", EVENING, 60, number=number) for number in range(8_000))
    seen: list[tuple[int, int]] = []

    def watch(counts: Counts, read_bytes: int) -> None:
        run = billing.database.run_blocking(lambda session: find_import(session, importer.import_id or 0))
        assert (run.stored, run.lines, run.read_bytes) == (counts.stored, counts.lines, read_bytes)
        seen.append((run.stored, run.read_bytes))

    def stop_after_the_first(seconds: float) -> bool:
        raise Stopped

    with pytest.raises(Stopped):
        importer(file, on_progress=watch, pause=stop_after_the_first)
    assert importer.count(Call) == seen[-1][0] < 8_000
    counts = importer(file, on_progress=lambda counts, read_bytes: None)
    assert counts.stored + counts.already_had == 8_000
    assert importer.count(Call) == 8_000


async def test_a_damaged_gzip_file_keeps_what_came_before(billing: Billing, importer: Importer) -> None:
    await set_default_plan(billing)
    packed = gzip.compress(own_csv(EXAMPLES).encode())
    with pytest.raises(UnableToReadFile, match="can't be read to its end"):
        importer(packed[:-9])
    assert importer(packed).stored == 2


async def test_an_empty_file_is_of_no_format(billing: Billing, importer: Importer) -> None:
    for nothing in (b"", b"\n\n", gzip.compress(b"")):
        with pytest.raises(UnableToReadFile, match="not recognised"):
            importer(nothing)


def test_rejects_are_written_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv.rejects.csv"
    path.write_text("of an earlier run")
    rejects = RejectsFile(path)
    assert not path.exists()
    rejects.add(Line(7, '=HYPERLINK("http://x"),"ü'), "it has 2 columns")
    rejects.close()
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["line", "reason", "text"],
            ["7", "it has 2 columns", '\'=HYPERLINK("http://x"),"ü'],
        ]
