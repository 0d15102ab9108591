"""Choosing the price of a call: longest destination prefix, longest source prefix, else the base price."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from billing_service.domain.plan import PlanTerms, Price, Tariff

_HEAD: Final = 3
"""The first digits of a prefix, by which its length is looked up: a country code at most."""


class TariffTable:
    """A plan's tariffs, found by destination prefix without looking at the others.

    A prefix is looked up for each length that it may have. Sheets of 50,000 prefixes have a dozen lengths,
    but few of them under the same first digits, so these tell which ones to try.
    """

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._by_destination: dict[str, list[Tariff]] = {}
        for tariff in tariffs:
            self._by_destination.setdefault(tariff.destination_prefix, []).append(tariff)
        for candidates in self._by_destination.values():
            candidates.sort(key=lambda tariff: len(tariff.source_prefix), reverse=True)
        short = [prefix for prefix in self._by_destination if len(prefix) < _HEAD]
        by_head: dict[str, set[int]] = {}
        for prefix in self._by_destination:
            if len(prefix) >= _HEAD:
                by_head.setdefault(prefix[:_HEAD], set()).add(len(prefix))
        for head, lengths in by_head.items():
            lengths.update(len(prefix) for prefix in short if head.startswith(prefix))
        self._lengths = {head: _longest_first(lengths) for head, lengths in by_head.items()}
        self._short_lengths = _longest_first(map(len, short))

    def choose(self, *, source: str, destination: str, answered_at: datetime) -> Tariff | None:
        """The tariff that prices a call answered at an instant, or None when the base price does."""
        by_destination = self._by_destination
        for length in self._lengths.get(destination[:_HEAD], self._short_lengths):
            # A number shorter than this gives itself, which is then tried as its own prefix: no harm done.
            for tariff in by_destination.get(destination[:length], ()):
                if source.startswith(tariff.source_prefix) and tariff.is_valid_at(answered_at):
                    return tariff
        return None


def _longest_first(lengths: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(lengths), reverse=True))


def choose_price(
    terms: PlanTerms, *, source: str, destination: str, answered_at: datetime
) -> tuple[Price, Tariff | None]:
    """The price of one call, and the tariff that it comes from. For many calls keep a `TariffTable`."""
    tariff = TariffTable(terms.tariffs).choose(
        source=source, destination=destination, answered_at=answered_at
    )
    return (terms.base_price, None) if tariff is None else (tariff.price, tariff)
