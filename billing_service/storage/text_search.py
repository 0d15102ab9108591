"""Searching texts for what a person typed."""

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute


def contains(
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], text: str
) -> ColumnElement[bool]:
    """Whether the column contains the text, whatever its case; `%` and `_` mean themselves."""
    return column.icontains(text, autoescape=True)
