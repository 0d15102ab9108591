"""The kinds of answers: models that say exactly what a client gets, and how their values are written."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"

InstantText = Annotated[str, Field(json_schema_extra={"format": "date-time", "pattern": _INSTANT})]
"""An instant as `fields.format_instant` writes it."""
DateText = Annotated[
    str, Field(json_schema_extra={"format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
]
"""A date in the billing time zone, `YYYY-MM-DD`."""
MoneyText = Annotated[str, Field(json_schema_extra={"pattern": r"^-?[0-9]+(\.[0-9]+)?$"})]
"""An amount in the billing currency, as `fields.format_money` writes it."""
PreciseText = Annotated[str, Field(json_schema_extra={"pattern": r"^-?[0-9]+\.[0-9]{6}$"})]
"""An amount with all its six places, as `fields.format_precise` writes it."""


class AnswerModel(BaseModel):
    """Base of all answers. Every field is always there; nothing else is.

    A field whose name is no Python name has an alias, which is what the client sees.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


class ProblemField(BaseModel):
    """One wrong field of a request: its path from the outermost value, and what is wrong.

    Of a file: its column, and the line on which it is.
    """

    model_config = ConfigDict(extra="forbid")

    field: str
    message: str
    line: int = Field(default=1, ge=1)


class ProblemAnswer(BaseModel):
    """A refusal (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default_factory=list)


JsonObject = dict[str, Any]
