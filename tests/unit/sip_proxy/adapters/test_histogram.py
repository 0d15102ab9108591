"""Durations in buckets."""

import pytest

from sip_proxy.adapters.histogram import DURATIONS_S, Histogram
from sip_proxy.adapters.metrics import Duration, Metrics


def test_counts_are_cumulated_and_bounds_belong_to_their_bucket() -> None:
    histogram = Histogram((0.1, 1.0))
    for duration_s in (0.05, 0.1, 0.11, 1.0, 7.0):
        histogram.observe(duration_s)

    assert histogram.cumulated() == [("0.1", 2.0), ("1.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total_s == pytest.approx(8.26)


def test_bounds_ascend() -> None:
    assert list(DURATIONS_S) == sorted(set(DURATIONS_S))


def test_prometheus_reads_it() -> None:
    histogram = Histogram((0.1,))
    histogram.observe(0.05)
    text = Metrics([Duration("turn", "How long", histogram)]).text().decode()

    for line in (
        "# TYPE tollbell_turn_seconds histogram",
        'tollbell_turn_seconds_bucket{le="0.1"} 1.0',
        'tollbell_turn_seconds_bucket{le="+Inf"} 1.0',
        "tollbell_turn_seconds_count 1.0",
        "tollbell_turn_seconds_sum 0.05",
    ):
        assert line in text.splitlines()
