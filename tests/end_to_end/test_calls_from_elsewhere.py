"""Events and files of other systems on a running one: from the post and the file to the printed bill."""

import os
import signal
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.billing import TOKEN
from tests.support.billing_process import BillingPrograms, eventually
from tests.support.call_files import (
    EXAMPLE_PRICE,
    KAMAILIO_HEADER,
    asterisk_line,
    freeswitch_line,
    kamailio_line,
)

# A day long gone: the programs run by the real clock, which may be any. The examples of the design.
EVENING = datetime(2020, 2, 27, 21, 57, 13, tzinfo=UTC)
LINES = 24_000
MINUTES = {"9992": timedelta(seconds=823), "9993": timedelta(days=1, seconds=823)}


@pytest.fixture
def programs(billing_programs: BillingPrograms) -> BillingPrograms:
    """A running system with the price of the examples for whoever is nobody's."""
    billing_programs.start("postgres")
    assert billing_programs.run("migrate").returncode == 0
    billing_programs.start("serve")
    eventually(lambda: billing_programs.health() == 200, "the service is healthy")
    ask(billing_programs, 201, "POST", "/v1/plans", {"name": "Default", "base_price": EXAMPLE_PRICE})
    ask(billing_programs, 200, "PATCH", "/v1/settings", {"default_plan_id": 1})
    return billing_programs


def ask(programs: BillingPrograms, status: int, method: str, path: str, body: Any = None) -> Any:
    answered, answer = programs.request(method, path, body)
    assert answered == status, answer
    return answer


def post_events(programs: BillingPrograms, source: str) -> None:
    for callee, duration in MINUTES.items():
        call_id = f"{source}-{callee}"
        end = {"id": 2, "type": "end", "timestamp": (EVENING + duration).isoformat(), "call_id": call_id}
        start = {
            "id": 1,
            "type": "start",
            "timestamp": EVENING.isoformat(),
            "call_id": call_id,
            "source": source,
            "destination": callee,
        }
        for event in (end, start, end):
            ask(programs, 202, "POST", "/v1/call", event)


def files_of_the_examples(directory: Path) -> dict[str, Path]:
    """A file in each format, each with the calls of another number."""
    calls = [(callee, int(duration.total_seconds())) for callee, duration in MINUTES.items()]
    texts = {
        "9981": "caller,callee,answered_at,duration_s\n"
        + "".join(f"9981,{callee},{EVENING.isoformat()},{length}\n" for callee, length in calls),
        "9982": "".join(
            asterisk_line("9982", callee, EVENING, length, number=int(callee)) for callee, length in calls
        ),
        "9983": "".join(
            freeswitch_line("9983", callee, EVENING, length, number=int(callee)) for callee, length in calls
        ),
        "9984": KAMAILIO_HEADER
        + "".join(
            kamailio_line("9984", callee, EVENING, length, number=int(callee)) for callee, length in calls
        ),
        "9985": "".join(
            f'{{"id":1,"type":"end","timestamp":"{(EVENING + timedelta(seconds=length)).isoformat()}",'
            f'"call_id":"9985-{callee}"}}\n'
            f'{{"id":2,"type":"start","timestamp":"{EVENING.isoformat()}","call_id":"9985-{callee}",'
            f'"source":"9985","destination":"{callee}"}}\n'
            for callee, length in calls
        ),
    }
    paths = {}
    for number, text in texts.items():
        paths[number] = directory / f"{number}.txt"
        paths[number].write_text(text)
    return paths


def read_pdf(programs: BillingPrograms, bill: str) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{programs.port}/v1/bills/{bill}.pdf", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        pdf: bytes = answer.read()
    return pdf


def test_the_examples_of_the_design_by_event_and_file_down_to_the_printed_bill(
    programs: BillingPrograms,
) -> None:
    post_events(programs, "9980")
    paths = files_of_the_examples(programs.var)
    for path in paths.values():
        finished = programs.run("import-calls", str(path))
        assert finished.returncode == 0, finished.stderr
        summary = dict(line.split(": ") for line in finished.stdout.splitlines())
        assert (summary["total price"], summary["rejected"]) == ("87.48 USD", "0")

    for number in ("9980", *paths):
        ask(programs, 202, "POST", f"/v1/bill/{number}/close", {"month": 2, "year": 2020})
        bill = ask(programs, 200, "GET", f"/v1/bill/{number}?month=2&year=2020")
        assert [(call["destination"], call["duration"], call["price"]) for call in bill["calls"]] == [
            ("9992", "0h13m43s", "0.54"),
            ("9993", "24h13m43s", "86.94"),
        ]
        assert bill["total"] == "87.48"
    assert read_pdf(programs, bill["bill"]).startswith(b"%PDF-")


def test_an_import_outlives_a_death_of_the_database(programs: BillingPrograms) -> None:
    path = programs.var / "Master.csv"
    with path.open("w") as file:
        for number in range(LINES):
            at = EVENING + timedelta(seconds=number)
            file.write(asterisk_line("9981", "9992", at, 60, number=number))
    process = programs.start_command("import-calls", str(path))

    def stored() -> int:
        imports = programs.request("GET", "/v1/imports")[1]
        return int(imports["items"][0]["stored"]) if imports and imports.get("items") else 0

    eventually(lambda: stored() > 0, "something is stored")
    os.kill(programs.postmaster(), signal.SIGKILL)
    assert process.poll() is None, "it is in the middle"
    eventually(lambda: programs.health() == 503, "the database is away")
    programs.start("postgres")
    out, err = process.communicate(timeout=90)

    assert process.returncode == 0, err
    summary = dict(line.split(": ") for line in out.splitlines())
    assert int(summary["stored"]) + int(summary["already had"]) == LINES
    eventually(lambda: programs.health() == 200, "the service has its database back")
    # In February, in the evening: the undisturbed price of each, once.
    ask(programs, 202, "POST", "/v1/bill/9981/close", {"month": 2, "year": 2020})
    bill = ask(programs, 200, "GET", "/v1/bill/9981?month=2&year=2020")
    assert len(bill["calls"]) == LINES
    again = programs.run("import-calls", str(path))
    assert again.stdout.splitlines()[:2] == ["stored: 0", f"already had: {LINES}"]
