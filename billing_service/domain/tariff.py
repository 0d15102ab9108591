"""Choosing the price of a call: longest destination prefix, longest source prefix, else the base price."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing_service.domain.plan import PlanTerms, Price, Tariff


class TariffTable:
    """A plan's tariffs, found by destination prefix without looking at the others."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._by_destination: dict[str, list[Tariff]] = {}
        for tariff in tariffs:
            self._by_destination.setdefault(tariff.destination_prefix, []).append(tariff)
        for candidates in self._by_destination.values():
            candidates.sort(key=lambda tariff: len(tariff.source_prefix), reverse=True)
        # A sheet of 50,000 prefixes has a dozen lengths, and only these are looked up.
        self._lengths = tuple(sorted(set(map(len, self._by_destination)), reverse=True))

    def choose(self, *, source: str, destination: str, answered_at: datetime) -> Tariff | None:
        """The tariff that prices a call answered at an instant, or None when the base price does."""
        by_destination = self._by_destination
        for length in self._lengths:
            # A number shorter than this gives itself, which is then tried as its own prefix: no harm done.
            for tariff in by_destination.get(destination[:length], ()):
                if source.startswith(tariff.source_prefix) and tariff.is_valid_at(answered_at):
                    return tariff
        return None


def choose_price(
    terms: PlanTerms, *, source: str, destination: str, answered_at: datetime
) -> tuple[Price, Tariff | None]:
    """The price of one call, and the tariff that it comes from. For many calls keep a `TariffTable`."""
    tariff = TariffTable(terms.tariffs).choose(
        source=source, destination=destination, answered_at=answered_at
    )
    return (terms.base_price, None) if tariff is None else (tariff.price, tariff)
