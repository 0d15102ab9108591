"""Room for connections: in all, and of one source."""

import pytest

from sip_proxy.core.flow import Transport
from sip_proxy.transport.admission import Admission


@pytest.fixture
def admission() -> Admission:
    return Admission(Transport.TCP, connections=3, of_one_source=2)


def test_a_source_has_its_share_and_gets_it_back(admission: Admission) -> None:
    assert admission.admit("192.0.2.1", 0)
    assert admission.admit("192.0.2.1", 1)
    assert not admission.admit("192.0.2.1", 2)
    assert admission.admit("192.0.2.2", 2)
    assert admission.refused_count == 1

    admission.leave("192.0.2.1")
    assert admission.admit("192.0.2.1", 2)


def test_the_addresses_of_an_ipv6_subnet_are_one_source(admission: Admission) -> None:
    assert [admission.admit(f"2001:db8::{last}", 0) for last in (1, 2, 3)] == [True, True, False]


def test_there_is_an_end_to_the_room_of_all(admission: Admission) -> None:
    assert not admission.admit("192.0.2.1", 3)
    assert not admission.admit("192.0.2.2", 4)
    assert admission.refused_count == 2


def test_the_dropped_and_the_refused_are_a_line_each(
    admission: Admission, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        admission.admit("192.0.2.1", 3)
    admission.report_refused()
    admission.report_refused()
    admission.note_dropped("idle", 7, ("192.0.2.1", 5070))
    refused, dropped = capsys.readouterr().out.splitlines()

    assert "connections_refused" in refused
    assert "count=2" in refused
    assert admission.dropped == {"idle": 7}
    for part in ("connections_dropped", "reason=idle", "count=7", "transport=TCP", "source=192.0.2.1:5070"):
        assert part in dropped
