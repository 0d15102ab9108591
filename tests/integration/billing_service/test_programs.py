"""The programs as an operator meets them: started in any order, stopped, killed, saying what is wrong."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.billing import call_record as recent_call_record
from tests.support.billing_process import BillingPrograms, eventually, process_runs


def start_all(programs: BillingPrograms) -> tuple[Any, Any]:
    postgres = programs.start("postgres")
    assert programs.run("migrate").returncode == 0  # waits for the database by itself
    serve = programs.start("serve", TOLLBELL_LOG="json")
    eventually(lambda: programs.health() == 200, "the service is healthy")
    return postgres, serve


def call_record(number: int) -> dict[str, Any]:
    """A record of a day long gone: the programs run by the real clock, which may be any."""
    record = recent_call_record(number)
    return {
        name: value.replace("2026-11-21", "2020-11-21") if isinstance(value, str) else value
        for name, value in record.items()
    }


def add_account(programs: BillingPrograms) -> None:
    assert programs.request("POST", "/v1/customers", {"name": "Alice"})[0] == 201
    plan = {"name": "Flat", "base_price": {"per_minute": "0.10"}}
    assert programs.request("POST", "/v1/plans", plan)[0] == 201
    account = {"customer_id": 1, "plan_id": 1, "number": "0001"}
    assert programs.request("POST", "/v1/phone-accounts", account)[0] == 201


def test_the_life_of_a_system(billing_programs: BillingPrograms) -> None:
    programs = billing_programs
    postgres, serve = start_all(programs)

    second = programs.run("serve")
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith(
        f"billing_service: cannot listen on 127.0.0.1:{programs.port}: "
    )
    rival = programs.run("postgres")
    assert rival.returncode == 1
    assert "already runs" in rival.stderr
    assert programs.health() == 200

    # A client that waits for the directory does not hold up the end.
    version = programs.request("GET", "/internal/v1/directory")[1]["version"]
    answers: list[tuple[int, Any]] = []
    path = f"/internal/v1/directory?since={version}&wait=60"
    waiting = threading.Thread(target=lambda: answers.append(programs.request("GET", path, timeout_s=70)))
    waiting.start()
    eventually(lambda: programs.health() == 200, "the waiting request is read")
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(30) == 0  # half of what that client would wait
    events = [json.loads(line)["event"] for line in programs.said("serve").splitlines()]
    assert (events[0], events[-1]) == ("billing_service_started", "billing_service_stopped")
    waiting.join(5)
    assert [(status, body["version"]) for status, body in answers] == [(200, version)]

    postmaster = programs.postmaster()
    postgres.send_signal(signal.SIGTERM)
    assert postgres.wait(15) == 0
    assert not process_runs(postmaster)


def test_killed_and_restarted_servers_lose_and_double_nothing(billing_programs: BillingPrograms) -> None:
    programs = billing_programs
    postgres, serve = start_all(programs)
    add_account(programs)
    directory = programs.request("GET", "/internal/v1/directory")[1]
    batch = {"records": [call_record(number) for number in range(1, 51)]}
    assert programs.request("POST", "/internal/v1/call-records", batch)[0] == 200

    # The database server is killed. The service stays up and says so.
    os.kill(programs.postmaster(), signal.SIGKILL)
    assert postgres.wait(15) == 1
    eventually(lambda: programs.health() == 503, "the service misses its database")
    more = {"records": [call_record(number) for number in range(1, 101)]}
    status, problem = programs.request("POST", "/internal/v1/call-records", more)
    assert (status, problem["title"]) == (503, "Service Unavailable")

    # It comes back (its last processes may still hold on for a moment) and everything goes on by itself.
    postgres = programs.start("postgres")
    eventually(lambda: programs.health() == 200, "the service has its database again")
    status, answer = programs.request("POST", "/internal/v1/call-records", more)
    assert status == 200
    statuses = [result["status"] for result in answer["results"]]
    assert (statuses.count("duplicate"), statuses.count("stored")) == (50, 50)
    assert programs.request("GET", "/v1/overview")[1]["charged_today"] in ("10.00", "0.00")
    assert len(programs.request("GET", "/v1/calls?limit=200")[1]["items"]) == 100

    # Changes reach the exchange again.
    answers: list[tuple[int, Any]] = []
    path = f"/internal/v1/directory?since={directory['version']}&wait=30"
    waiting = threading.Thread(target=lambda: answers.append(programs.request("GET", path, timeout_s=40)))
    waiting.start()
    assert programs.request("POST", "/v1/phone-accounts/0001/suspend")[0] == 200
    waiting.join(5)
    assert not waiting.is_alive()
    assert answers[0][1]["accounts"][0]["state"] == "suspended"

    # The service is killed while it stores records; the exchange delivers again.
    last = {"records": [call_record(number) for number in range(1, 1001)]}
    delivering = threading.Thread(target=lambda: programs.request("POST", "/internal/v1/call-records", last))
    delivering.start()
    serve.kill()
    delivering.join(30)
    serve.wait()
    programs.start("serve")
    eventually(lambda: programs.health() == 200, "the service is back")
    status, answer = programs.request("POST", "/internal/v1/call-records", last)
    assert status == 200
    assert {result["status"] for result in answer["results"]} <= {"stored", "duplicate"}
    seen: list[str] = []
    cursor = ""
    while True:
        page = programs.request("GET", f"/v1/calls?limit=200{cursor}")[1]
        seen += [call["record_id"] for call in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == [f"{number:032x}" for number in range(1, 1001)]


def test_a_killed_wrapper_takes_its_database_server_along(billing_programs: BillingPrograms) -> None:
    programs = billing_programs
    postgres = programs.start("postgres")
    eventually((programs.var / "postgres/socket/.s.PGSQL.5432").exists, "the database listens")
    too_early = programs.run("sample-data")
    assert too_early.returncode == 1
    assert "run python -m billing_service migrate" in too_early.stderr.splitlines()[-1]
    postmaster = programs.postmaster()
    postgres.kill()
    postgres.wait()
    programs.start("postgres")  # at once, while the old server may still be ending
    assert programs.run("migrate").returncode == 0
    assert programs.postmaster() != postmaster
    eventually(lambda: not process_runs(postmaster), "the server without a parent has ended")


def test_a_database_that_hangs_is_told_in_time_and_everything_goes_on_after_it(
    billing_programs: BillingPrograms,
) -> None:
    programs = billing_programs
    _, serve = start_all(programs)
    add_account(programs)
    batch = {"records": [call_record(1)]}
    assert programs.request("POST", "/internal/v1/call-records", batch)[0] == 200

    hanging = [programs.postmaster(), *children_of(programs.postmaster())]
    assert len(hanging) > 5
    for pid in hanging:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert programs.request("GET", "/health") == (
            503,
            {"status": "unavailable", "database": "away", "broker": None},
        )
        assert time.monotonic() - started < 15  # it would hang for ever

        # More requests than there are threads: all are refused in time, also those that wait for a thread.
        answers: list[int] = []
        requests = [("GET", "/v1/overview", None)] * 20 + [("POST", "/internal/v1/call-records", batch)] * 2
        askers = [
            threading.Thread(target=lambda wish=wish: answers.append(programs.request(*wish)[0]))
            for wish in requests
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(60)
        assert answers == [503] * len(requests)

        # No thread is lost to the requests above, and a stop is not held up.
        assert programs.health() == 503
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(15) == 0
        second = programs.start("serve")
    finally:
        for pid in hanging:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: programs.health() == 200, "the service is healthy again")
    status, answer = programs.request("POST", "/internal/v1/call-records", batch)
    assert (status, answer["results"][0]["status"]) == (200, "duplicate")
    assert second.poll() is None
    assert "Traceback" not in programs.said("serve")


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
