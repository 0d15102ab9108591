"""The tables of `make bench-sip`: ratios are of medians, and only where no call failed."""

from bench.sip.report import call_table, ratio_table, records_line, registration_table
from bench.sip.rounds import CallCosts, Costs

COSTS = {
    "Kamailio, PostgreSQL accounting": Costs(
        registration_ms=[0.4, 0.2, 0.3],
        refresh_ms=[0.2],
        calls_at={
            100: CallCosts([2.0], [0.0], [1.0], [4.0], [8.0]),
            300: CallCosts([1.0], [0.0], [1.0], [4.0], [8.0], failed=7),
        },
        records=100,
        calls=100,
    ),
    "Kamailio, in memory": Costs(
        registration_ms=[0.1],
        refresh_ms=[0.1],
        calls_at={
            100: CallCosts([0.5], [0.0], [0.0], [1.0], [2.0]),
            300: CallCosts([0.8], [0.0], [0.0], [1.0], [2.0]),
        },
    ),
    "Tollbell, core interpreted": Costs(
        registration_ms=[0.9],
        refresh_ms=[0.4],
        calls_at={100: CallCosts([1.5], [0.1], [0.1], [9.0], [20.0])},
        records=100,
        calls=100,
    ),
    "Tollbell": Costs(
        registration_ms=[0.6, 0.6, 0.6],
        refresh_ms=[0.3],
        calls_at={
            100: CallCosts([1.0], [0.1], [0.1], [9.0], [20.0]),
            300: CallCosts([0.4], [0.1], [0.1], [9.0], [20.0]),
        },
        records=400,
        calls=400,
    ),
}


def test_calls_are_compared_rate_by_rate_where_none_failed() -> None:
    assert "| 100 | Tollbell | 0.50 | 2.00 |" in ratio_table(COSTS)
    assert "| 100 | Tollbell, core interpreted | 0.75 | 3.00 |" in ratio_table(COSTS)
    assert "| 300 | Tollbell | – | 0.50 |" in ratio_table(COSTS)
    assert "| 300 | Tollbell, core interpreted | – | – |" in ratio_table(COSTS)
    assert "| aim | | 0.35 | 0.90 |" in ratio_table(COSTS)


def test_failed_calls_are_shown() -> None:
    (line,) = [line for line in call_table(COSTS).splitlines() if line.startswith("| 300 | Kamailio, Postg")]
    assert line.endswith("| 7 |")


def test_registrations_are_compared_by_their_medians() -> None:
    lines = registration_table(COSTS).splitlines()
    assert lines[2].startswith("| Kamailio, PostgreSQL accounting | 0.300 (0.200 to 0.400) | 2.00 |")
    assert lines[3].startswith("| Kamailio, in memory | 0.100 (0.100 to 0.100) | 6.00 | 0.80 |")


def test_records_are_counted_where_a_server_keeps_them() -> None:
    assert "Tollbell 400 records of 400 calls" in records_line(COSTS)
    assert "in memory" not in records_line(COSTS)
