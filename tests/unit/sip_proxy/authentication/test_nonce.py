"""Stateless nonces and the memory of their uses (RFC 7616 §5.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.core.authentication.nonce import NONCE_LIFETIME_S, NonceSource, NonceUse, NonceUses

SECRET = b"a secret of this exchange"


def make_source(secret: bytes = SECRET, seed: int = 0) -> NonceSource:
    return NonceSource(secret=secret, random_bytes=lambda size: bytes([seed] * size))


def make_uses(capacity: int = 1000) -> NonceUses:
    def never() -> None:
        raise AssertionError("the memory was not expected to be full")

    return NonceUses(on_full=never, capacity=capacity)


def test_recognises_its_own_nonce() -> None:
    source = make_source()

    assert source.recognise(source.make(now=1000.7), now=1000.8) == (1000, 1)


def test_never_makes_a_nonce_twice() -> None:
    source = make_source()

    assert len({source.make(now=5.0) for _ in range(1000)}) == 1000


def test_a_nonce_is_good_for_its_lifetime_and_no_longer() -> None:
    source = make_source()
    nonce = source.make(now=1000.0)

    assert source.recognise(nonce, now=1000.0 + NONCE_LIFETIME_S - 0.1) is not None
    assert source.recognise(nonce, now=1000.0 + NONCE_LIFETIME_S) is None


def test_a_nonce_from_the_future_is_not_good() -> None:
    source = make_source()

    assert source.recognise(source.make(now=1000.0), now=998.0) is None


def test_the_clock_may_count_past_32_bits_of_seconds() -> None:
    source = make_source()

    assert source.recognise(source.make(now=2.0**32 - 1), now=2.0**32 + 5) is not None


def test_a_nonce_of_another_secret_is_foreign() -> None:
    assert make_source().recognise(make_source(secret=b"another").make(now=1.0), now=1.0) is None


def test_a_nonce_of_an_earlier_process_is_foreign_because_its_uses_are_forgotten() -> None:
    assert make_source(seed=2).recognise(make_source(seed=1).make(now=1.0), now=1.0) is None


@pytest.mark.parametrize("position", range(32))
def test_a_nonce_changed_anywhere_is_foreign(position: int) -> None:
    source = make_source()
    nonce = source.make(now=1000.0)
    changed = "A" if nonce[position] != "A" else "B"

    assert source.recognise(nonce[:position] + changed + nonce[position + 1 :], now=1000.0) is None


@given(st.one_of(st.text(), st.text(min_size=32, max_size=32)))
def test_no_text_breaks_the_recognition(text: str) -> None:
    assert make_source().recognise(text, now=0.0) is None


def test_disowned_nonces_are_stale_and_later_ones_are_not() -> None:
    source = make_source()
    before = source.make(now=1.0)
    source.disown_all()
    after = source.make(now=1.0)

    assert source.recognise(before, now=1.0) is None
    assert source.recognise(after, now=1.0) is not None


def test_a_count_may_be_used_once() -> None:
    uses = make_uses()

    assert uses.use((0, 1), 1) is NonceUse.FRESH
    assert uses.use((0, 1), 1) is NonceUse.REPLAYED


def test_each_nonce_has_its_own_counts() -> None:
    uses = make_uses()
    uses.use((0, 1), 1)

    assert uses.use((0, 2), 1) is NonceUse.FRESH


def test_requests_may_overtake_each_other_within_the_window() -> None:
    uses = make_uses()

    assert [uses.use((0, 1), count) for count in (3, 1, 2, 66, 4)] == [NonceUse.FRESH] * 5
    assert [uses.use((0, 1), count) for count in (1, 2, 3, 4, 66)] == [NonceUse.REPLAYED] * 5


def test_a_count_below_the_window_counts_as_used() -> None:
    uses = make_uses()
    uses.use((0, 1), 100)

    assert uses.use((0, 1), 37) is NonceUse.FRESH
    assert uses.use((0, 1), 36) is NonceUse.REPLAYED


@given(st.lists(st.integers(min_value=0, max_value=200)))
def test_no_count_is_ever_accepted_twice(counts: list[int]) -> None:
    uses = make_uses()
    accepted = [count for count in counts if uses.use((0, 1), count) is NonceUse.FRESH]

    assert len(accepted) == len(set(accepted))


@given(st.lists(st.integers(min_value=0, max_value=2**32 - 1), unique=True, min_size=1))
def test_the_window_agrees_with_a_set_that_remembers_everything(counts: list[int]) -> None:
    uses = make_uses()
    highest = -1
    for count in counts:
        expected = NonceUse.FRESH if count > highest - 64 else NonceUse.REPLAYED
        assert uses.use((0, 1), count) is expected
        highest = max(highest, count)


def test_uses_are_kept_while_the_nonce_is_good_and_forgotten_after() -> None:
    uses = make_uses()
    last_second = NONCE_LIFETIME_S - 1
    uses.use((last_second, 1), 1)
    uses.use((NONCE_LIFETIME_S, 2), 1)

    assert uses.use((last_second, 1), 1) is NonceUse.REPLAYED

    uses.use((2 * NONCE_LIFETIME_S, 3), 1)

    assert len(uses) == 2


def test_memory_is_bounded_by_making_everything_stale_when_it_is_full() -> None:
    source = make_source()
    uses = NonceUses(on_full=source.disown_all, capacity=10)
    nonces = [source.make(now=1.0) for _ in range(11)]
    for nonce in nonces:
        known = source.recognise(nonce, now=1.0)
        assert known is not None
        uses.use(known, 1)

    assert len(uses) == 0
    assert [source.recognise(nonce, now=1.0) for nonce in nonces] == [None] * 11


def test_a_nonce_is_good_only_where_it_was_sent() -> None:
    source = NonceSource(secret=b"secret", random_bytes=bytes)
    nonce = source.make(10.0, "192.0.2.1")

    assert source.recognise(nonce, 11.0, "192.0.2.1") is not None
    assert source.recognise(nonce, 11.0, "192.0.2.2") is None
