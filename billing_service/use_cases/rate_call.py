"""Rate a call when it arrives, and explain its price when somebody asks.

The plan version is the one in force for the caller's account at the answer; finding it is the storage's
affair. The price of a call is the curve's; the explanation is the plain rater's, which gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import tzinfo
from functools import partial
from threading import Lock
from typing import Final

from billing_service.domain.call import Call, Outcome
from billing_service.domain.compiled_plan import FREE, CompiledPlan, RatedCall
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import Counting, PlanTerms, Price, Tariff, Window
from billing_service.domain.plan_document import format_price, format_time_of_day
from billing_service.domain.rating import Piece, charge_call
from billing_service.domain.tariff import choose_price

_MOST_PLANS_KEPT: Final = 1000
_MOST_PIECES_EXPLAINED: Final = 50


class CompiledPlans:
    """The compiled plan versions of this process. Versions never change, so nothing here goes out of date."""

    def __init__(self) -> None:
        self._plans: dict[int, CompiledPlan] = {}
        self._lock = Lock()

    def get(self, plan_version_id: int, load: Callable[[int], PlanTerms]) -> CompiledPlan:
        """The compiled plan version, loaded with `load` when it isn't there yet."""
        plan = self._plans.get(plan_version_id)
        if plan is None:
            plan = CompiledPlan(load(plan_version_id))
            with self._lock:
                if len(self._plans) >= _MOST_PLANS_KEPT:
                    self._plans.clear()
                self._plans[plan_version_id] = plan
        return plan


def rate_call(call: Call, plan: CompiledPlan | None, *, currency: Currency, zone: tzinfo) -> RatedCall | None:
    """The price of a call under the plan in force at its answer.

    None when it can't be rated: it is chargeable, but no plan was in force for its caller.
    """
    if not call.is_chargeable:
        return FREE
    return None if plan is None else plan.rate(call, currency=currency, zone=zone)


def explain_call(call: Call, terms: PlanTerms | None, *, currency: Currency, zone: tzinfo) -> list[str]:
    """Why a call costs what it costs, a sentence a line."""
    if call.emergency:
        return ["An emergency call is never charged."]
    if call.outcome is not Outcome.ANSWERED or call.answered_at is None:
        return ["Only an answered call is charged."]
    if terms is None:
        return ["No billing plan was in force for the caller when the call was answered, so it has no price."]
    price, tariff = choose_price(
        terms, source=call.caller, destination=call.callee, answered_at=call.answered_at
    )
    charge = charge_call(price, answered_at=call.answered_at, duration_us=call.duration_us, zone=zone)
    show = partial(format_price, places=currency.minor_digits)
    lines = [_explain_choice(terms, tariff)]
    if price.standing_charge:
        lines.append(f"Standing charge for an answered call: {show(price.standing_charge)}.")
    lines.append(_explain_counting(price))
    lines += [_explain_piece(piece, zone, show) for piece in charge.pieces[:_MOST_PIECES_EXPLAINED]]
    if len(charge.pieces) > _MOST_PIECES_EXPLAINED:
        lines.append(f"And {len(charge.pieces) - _MOST_PIECES_EXPLAINED} more parts in the same way.")
    precise = charge.precise
    lines.append(
        f"Together {precise.format_precise()},"
        f" rounded to {precise.rounded(currency).format(currency)} {currency.code}."
    )
    return lines


def _explain_choice(terms: PlanTerms, tariff: Tariff | None) -> str:
    if tariff is None:
        return f"Plan {terms.name}, base price: none of its tariffs fits this call."
    return f"Plan {terms.name}, tariff {' '.join(_explain_prefixes(tariff))}."


def _explain_prefixes(tariff: Tariff) -> Iterator[str]:
    yield f"to {tariff.destination_prefix}…" if tariff.destination_prefix else "to every number"
    if tariff.source_prefix:
        yield f"from {tariff.source_prefix}…"


def _explain_counting(price: Price) -> str:
    size = (
        f"{price.next_increment_s} s"
        if price.initial_increment_s == price.next_increment_s
        else f"{price.initial_increment_s} s, then {price.next_increment_s} s"
    )
    if price.counting is Counting.STARTED:
        return f"Every started increment of {size} counts whole, at the price in force when it starts."
    return f"Only completed increments of {size} count, in each part of the call between window borders."


def _explain_piece(piece: Piece, zone: tzinfo, show: Callable[[Money], str]) -> str:
    minutes, seconds = divmod(piece.charged_s, 60)
    length = f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    starts = piece.starts_at.astimezone(zone)
    return f"From {starts:%a %H:%M:%S}: {length} at {show(piece.per_minute)} a minute{_name(piece.window)}."


def _name(window: Window | None) -> str:
    if window is None:
        return ""
    day = "every day" if window.weekday is None else window.weekday.value.capitalize()
    return f" ({day} {format_time_of_day(window.from_minute)}–{format_time_of_day(window.to_minute)})"
