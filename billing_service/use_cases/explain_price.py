"""Why a call costs what it costs, or would cost: the tariff, each part, each rounding, and all of it as text.

The parts are found by walking the compiled price from border to border, which gives what the plain rater
gives (a property test holds them equal), for calls of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from itertools import accumulate
from typing import Final

from billing_service.domain.call import Call, Outcome
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.included_minutes import describe_seconds
from billing_service.domain.money import Currency, Money
from billing_service.domain.plan import Counting, PlanTerms, Price, Tariff, Window
from billing_service.domain.plan_document import format_price, format_time_of_day
from billing_service.domain.rating import SECONDS_A_MINUTE, Charge, Piece

MOST_PIECES_EXPLAINED: Final = 50


@dataclass(frozen=True, slots=True)
class ItemisedPiece:
    """A piece with its amount. What all pieces before it came to is cut as a whole, so the amounts add up."""

    piece: Piece
    amount: Money


@dataclass(frozen=True, slots=True)
class Rounding:
    """A step in which a part of an amount was lost or gained. `before` may have more than six places."""

    rule: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The price of an answered call with all that led to it."""

    terms: PlanTerms
    tariff: Tariff | None
    """None: the plan's base price held."""
    price: Price
    pieces: tuple[ItemisedPiece, ...]
    roundings: tuple[Rounding, ...]
    precise: Money
    rounded: Money
    may_use_included_minutes: bool


def explain_price(
    plan: CompiledPlan,
    *,
    caller: str,
    callee: str,
    answered_at: datetime,
    duration_us: int,
    currency: Currency,
    zone: tzinfo,
) -> Explanation:
    """What a call costs under a plan version, and why."""
    price, tariff = plan.choose(source=caller, destination=callee, answered_at=answered_at)
    charge = plan.itemise(price, answered_at=answered_at, duration_us=duration_us, zone=zone)
    precise = charge.precise
    return Explanation(
        terms=plan.terms,
        tariff=tariff,
        price=price,
        pieces=tuple(_with_amounts(charge)),
        roundings=tuple(_roundings(charge, currency)),
        precise=precise,
        rounded=precise.rounded(currency),
        may_use_included_minutes=plan.terms.allowance.covers(callee),
    )


def _with_amounts(charge: Charge) -> Iterator[ItemisedPiece]:
    so_far = accumulate(piece.charged_s * piece.per_minute.micros for piece in charge.pieces)
    before = 0
    for piece, minute_seconds in zip(charge.pieces, so_far, strict=True):
        after = minute_seconds // SECONDS_A_MINUTE
        yield ItemisedPiece(piece, Money(after - before))
        before = after


def _roundings(charge: Charge, currency: Currency) -> Iterator[Rounding]:
    precise = charge.precise
    minute_seconds = sum(piece.charged_s * piece.per_minute.micros for piece in charge.pieces)
    lost = minute_seconds % SECONDS_A_MINUTE
    if lost:
        more_places = f"{lost * 10**4 // SECONDS_A_MINUTE:04d}"
        yield Rounding(
            "what is less than a millionth is cut off",
            f"{precise.format_precise()}{more_places}",
            precise.format_precise(),
        )
    if precise != precise.rounded(currency):
        yield Rounding(
            f"rounded half-up to the minor unit of {currency.code}",
            precise.format_precise(),
            precise.format(currency),
        )


def explain_call(
    call: Call, plan: CompiledPlan | None, *, currency: Currency, zone: tzinfo
) -> tuple[Explanation | None, list[str]]:
    """Why a call costs what it costs: in full when it has a rating, and in any case as text."""
    if call.emergency:
        return None, ["An emergency call is never charged."]
    if call.outcome is not Outcome.ANSWERED or call.answered_at is None:
        return None, ["Only an answered call is charged."]
    if plan is None:
        return None, [
            "No billing plan was in force for the caller when the call was answered, so it has no price."
        ]
    explanation = explain_price(
        plan,
        caller=call.caller,
        callee=call.callee,
        answered_at=call.answered_at,
        duration_us=call.duration_us,
        currency=currency,
        zone=zone,
    )
    return explanation, describe(explanation, currency=currency, zone=zone)


def describe(explanation: Explanation, *, currency: Currency, zone: tzinfo) -> list[str]:
    """The explanation as sentences, one a line."""
    show = partial(format_price, places=currency.minor_digits)
    price, pieces = explanation.price, explanation.pieces
    lines = [_choice(explanation)]
    if price.standing_charge:
        lines.append(f"Standing charge for an answered call: {show(price.standing_charge)}.")
    lines.append(_counting(price))
    lines += [_piece(item, zone, show) for item in pieces[:MOST_PIECES_EXPLAINED]]
    if len(pieces) > MOST_PIECES_EXPLAINED:
        lines.append(f"And {len(pieces) - MOST_PIECES_EXPLAINED} more parts in the same way.")
    lines.append(
        f"Together {explanation.precise.format_precise()},"
        f" rounded to {explanation.rounded.format(currency)} {currency.code}."
    )
    if explanation.may_use_included_minutes and any(item.amount for item in pieces):
        minutes = describe_seconds(explanation.terms.allowance.seconds)
        lines.append(
            f"The plan includes {minutes} minutes a month; what is left of them is taken off on the bill."
        )
    return lines


def _choice(explanation: Explanation) -> str:
    name, tariff = explanation.terms.name, explanation.tariff
    if tariff is None:
        return f"Plan {name}, base price: none of its tariffs fits this call."
    return f"Plan {name}, tariff {' '.join(_prefixes(tariff))}."


def _prefixes(tariff: Tariff) -> Iterator[str]:
    yield f"to {tariff.destination_prefix}…" if tariff.destination_prefix else "to every number"
    if tariff.source_prefix:
        yield f"from {tariff.source_prefix}…"
    if tariff.description:
        yield f"({tariff.description})"


def _counting(price: Price) -> str:
    size = (
        f"{price.next_increment_s} s"
        if price.initial_increment_s == price.next_increment_s
        else f"{price.initial_increment_s} s, then {price.next_increment_s} s"
    )
    if price.counting is Counting.STARTED:
        return f"Every started increment of {size} counts whole, at the price in force when it starts."
    return f"Only completed increments of {size} count, in each part of the call between window borders."


def _piece(item: ItemisedPiece, zone: tzinfo, show: Callable[[Money], str]) -> str:
    piece = item.piece
    minutes, seconds = divmod(piece.charged_s, SECONDS_A_MINUTE)
    length = f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    starts = piece.starts_at.astimezone(zone)
    rate = f"{show(piece.per_minute)} a minute{_name(piece.window)}"
    return f"From {starts:%a %H:%M:%S}: {length} at {rate}, {item.amount.format_precise()}."


def _name(window: Window | None) -> str:
    if window is None:
        return ""
    day = "every day" if window.weekday is None else window.weekday.value.capitalize()
    return f" ({day} {format_time_of_day(window.from_minute)}–{format_time_of_day(window.to_minute)})"
