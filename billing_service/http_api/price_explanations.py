"""How the price of a call is explained in answers: what was matched, each part, each rounding."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from billing_service.domain.money import Currency
from billing_service.domain.plan import Tariff
from billing_service.domain.plan_document import format_price, price_to_document
from billing_service.http_api.answers import AnswerModel, InstantText, MoneyText, PreciseText
from billing_service.http_api.fields import format_instant, format_optional_instant
from billing_service.http_api.plan_models import PriceAnswer, WindowAnswer
from billing_service.use_cases.explain_price import Explanation, ItemisedPiece

MOST_PIECES_SHOWN = 1_000


class MatchedTariffAnswer(AnswerModel):
    """The tariff that held for the call."""

    source_prefix: str
    destination_prefix: str
    valid_from: InstantText | None
    valid_to: InstantText | None
    description: str


class PieceAnswer(AnswerModel):
    """A part of the call under one price per minute: real time, and the time charged for it.

    Where started increments are counted, it reaches to the end of the last increment that began in it.
    """

    starts_at: Annotated[InstantText, Field(alias="from")]
    ends_at: Annotated[InstantText, Field(alias="to")]
    window: WindowAnswer | None
    increments: int
    charged_s: int
    per_minute: str
    amount_precise: PreciseText


class RoundingAnswer(AnswerModel):
    """A step in which an amount lost or gained something."""

    rule: str
    before: str
    after: str


class RatingAnswer(AnswerModel):
    """A price with all that led to it. The amounts of the pieces and the standing charge add up to it."""

    plan_name: str
    tariff: MatchedTariffAnswer | None
    price_terms: PriceAnswer
    pieces: list[PieceAnswer]
    pieces_left_out: int
    roundings: list[RoundingAnswer]
    price_precise: PreciseText
    price: MoneyText


def show_rating(explanation: Explanation, currency: Currency) -> RatingAnswer:
    """Return an explanation as it is shown."""
    shown, places = explanation.pieces[:MOST_PIECES_SHOWN], currency.minor_digits
    price = price_to_document(explanation.price, places=places)
    windows = dict(zip(explanation.price.windows, price["windows"], strict=True))

    def show_piece(item: ItemisedPiece) -> dict[str, Any]:
        piece = item.piece
        return {
            "from": format_instant(piece.starts_at),
            "to": format_instant(piece.starts_at + timedelta(microseconds=piece.length_us)),
            "window": None if piece.window is None else windows[piece.window],
            "increments": piece.increments,
            "charged_s": piece.charged_s,
            "per_minute": format_price(piece.per_minute, places=places),
            "amount_precise": item.amount.format_precise(),
        }

    return RatingAnswer.model_validate(
        {
            "plan_name": explanation.terms.name,
            "tariff": None if explanation.tariff is None else _show_tariff(explanation.tariff),
            "price_terms": price,
            "pieces": [show_piece(item) for item in shown],
            "pieces_left_out": len(explanation.pieces) - len(shown),
            "roundings": [
                {"rule": step.rule, "before": step.before, "after": step.after}
                for step in explanation.roundings
            ],
            "price_precise": explanation.precise.format_precise(),
            "price": explanation.rounded.format(currency),
        }
    )


def _show_tariff(tariff: Tariff) -> dict[str, Any]:
    return {
        "source_prefix": tariff.source_prefix,
        "destination_prefix": tariff.destination_prefix,
        "valid_from": format_optional_instant(tariff.valid_from),
        "valid_to": format_optional_instant(tariff.valid_to),
        "description": tariff.description,
    }
