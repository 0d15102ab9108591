"""One log line for each thing that may be an attack, few for a flood."""

import pytest

from sip_proxy.adapters import security_log as security_log_module
from sip_proxy.adapters.security_log import SecurityLog
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import SecurityEvent, SecurityEventKind


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(host: str = "192.0.2.1", detail: str = "Wrong password") -> SecurityEvent:
    flow = Flow(Transport.UDP, (host, 5062), ("192.0.2.9", 5060))
    return SecurityEvent(SecurityEventKind.WRONG_PASSWORD, flow, "0001", detail)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> SecurityLog:
    return SecurityLog(clock=clock)


def test_a_line_says_what_who_and_from_where(log: SecurityLog, capsys: pytest.CaptureFixture[str]) -> None:
    log.write(event())
    (line,) = capsys.readouterr().out.splitlines()

    for part in ("security", "wrong_password", "192.0.2.1:5062", "0001", "Wrong password"):
        assert part in line


def test_a_newline_from_outside_makes_no_second_line(
    log: SecurityLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write(event(detail="bad\r\nforged line"))

    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_same_is_said_once_and_then_how_often_it_happened_again(
    log: SecurityLog, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [log.write(event()) for _ in range(5)] == [True, False, False, False, False]
    assert len(capsys.readouterr().out.splitlines()) == 1

    clock.now = 10.0
    log.report_suppressed()
    (line,) = capsys.readouterr().out.splitlines()
    for part in ("security_repeated", "wrong_password", "192.0.2.1:5062", "0001", "count=4"):
        assert part in line


def test_a_flood_from_one_address_makes_ten_lines_and_a_sum(
    log: SecurityLog, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1000):
        log.write(event(detail=f"Wrong password {number}"))
    log.write(event("192.0.2.2"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert "192.0.2.2" in lines[-1]

    clock.now = 10.0
    log.report_suppressed()
    (line,) = capsys.readouterr().out.splitlines()
    assert "990" in line
    assert "192.0.2.1" in line


def test_a_source_may_speak_again_after_its_span(
    log: SecurityLog, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        log.write(event(detail=f"Wrong password {number}"))
    capsys.readouterr()
    clock.now = 10.0
    log.write(event())
    left_out, line = capsys.readouterr().out.splitlines()

    assert "left_out" in left_out
    assert "Wrong password" in line


def test_memory_is_bounded_however_many_sources_there_are(
    log: SecurityLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_log_module, "_MOST_SOURCES", 5)
    for number in range(100):
        log.write(event(f"192.0.2.{number}"))

    assert len(log._sources) <= 5
    assert len(capsys.readouterr().out.splitlines()) == 100
