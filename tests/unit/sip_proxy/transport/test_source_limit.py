"""Token buckets by source: room for a burst, then so many a second; more for trusted ones."""

import pytest

from sip_proxy.core.authentication.sources import Sources
from sip_proxy.transport.source_limit import Rate, SourceLimiter

HERE, THERE, KNOWN = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def make_limiter(*, most_sources: int) -> SourceLimiter:
    return SourceLimiter(
        is_trusted=lambda host, now: host == KNOWN,
        stranger=Rate(per_second=10, burst=20),
        trusted=Rate(per_second=100, burst=200),
        most_sources=most_sources,
    )


@pytest.fixture
def limiter() -> SourceLimiter:
    return make_limiter(most_sources=10_000)


def admitted(limiter: SourceLimiter, host: str, now: float, count: int) -> int:
    return sum(limiter.admits(host, now) for _ in range(count))


def test_a_burst_has_room_and_no_more(limiter: SourceLimiter) -> None:
    assert admitted(limiter, HERE, 100.0, 50) == 20
    assert limiter.dropped_count == 30


def test_then_as_many_a_second_as_the_rate_says(limiter: SourceLimiter) -> None:
    admitted(limiter, HERE, 100.0, 50)

    assert admitted(limiter, HERE, 101.0, 50) == 10
    assert admitted(limiter, HERE, 101.5, 50) == 5


def test_the_bucket_fills_up_again_and_never_over(limiter: SourceLimiter) -> None:
    admitted(limiter, HERE, 100.0, 50)

    assert admitted(limiter, HERE, 1000.0, 50) == 20


def test_one_source_takes_nothing_from_another(limiter: SourceLimiter) -> None:
    admitted(limiter, HERE, 100.0, 50)

    assert admitted(limiter, THERE, 100.0, 20) == 20


def test_the_addresses_of_an_ipv6_subnet_share_a_bucket(limiter: SourceLimiter) -> None:
    first = sum(limiter.admits(f"2001:db8::{number:x}", 0.0) for number in range(100))
    assert first == admitted(limiter, HERE, 0.0, 100)
    assert admitted(limiter, "2001:db8:0:1::1", 0.0, 1) == 1


def test_an_ipv6_subnet_with_an_account_has_more_and_a_strange_one_has_not() -> None:
    """Whoever is asked about trust is given an address, as a subnet is none."""
    sources = Sources()
    sources.authenticated("2001:db8::1", "0001", 0.0)
    limiter = SourceLimiter(
        is_trusted=sources.is_trusted,
        stranger=Rate(per_second=10, burst=20),
        trusted=Rate(per_second=100, burst=200),
    )

    assert admitted(limiter, "2001:db8::2", 0.0, 300) == 220
    assert admitted(limiter, "2001:db8:0:1::1", 0.0, 300) == 20


def test_a_trusted_source_has_more_and_not_everything(limiter: SourceLimiter) -> None:
    assert admitted(limiter, KNOWN, 100.0, 1000) == 220
    assert admitted(limiter, KNOWN, 101.0, 1000) == 110


def test_a_flood_is_told_of_now_and_then(limiter: SourceLimiter) -> None:
    assert [limiter.is_to_be_reported(HERE, now) for now in (0.0, 1.0, 9.9, 10.0)] == [
        True,
        False,
        False,
        True,
    ]


def test_memory_stays_bounded() -> None:
    limiter = make_limiter(most_sources=50)
    for number in range(1000):
        assert limiter.admits(f"h{number}", 100.0)
        limiter.is_to_be_reported(f"h{number}", 100.0)

    assert len(limiter._full_at) <= 50
    assert len(limiter._reported_at) <= 50


def test_buckets_that_are_full_make_room_for_those_that_are_not() -> None:
    limiter = make_limiter(most_sources=50)
    for number in range(49):
        limiter.admits(f"h{number}", 100.0)
    admitted(limiter, HERE, 200.0, 50)
    for number in range(30):
        limiter.admits(f"later{number}", 200.0)

    assert admitted(limiter, HERE, 200.0, 1) == 0
