"""Lists in pages: keyset pagination with cursors that clients don't look into."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from billing_service.domain.errors import FieldProblem
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import QueryInteger
from billing_service.http_api.problems import invalid

Item = TypeVar("Item")
Shown = TypeVar("Shown")
Key = tuple[str | int, ...]


def _decode(cursor: object) -> object:
    if not isinstance(cursor, str) or len(cursor) > 1000:
        raise ValueError("it is not a cursor of this list")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not a cursor of this list") from error
    if not isinstance(key, list) or not key or not all(type(part) in (str, int) for part in key):
        raise ValueError("it is not a cursor of this list")
    return tuple(key)


class PageQuery(RequestModel):
    """The part of a query that every list takes. `cursor` is the key of the last item already seen."""

    limit: Annotated[QueryInteger, Field(ge=1, le=200)] = 50
    cursor: Annotated[
        Key | None,
        BeforeValidator(_decode),
        WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,1000}$"}),
    ] = None

    def after(self, *kinds: Callable[[Any], Any]) -> tuple[Any, ...] | None:
        """Return the cursor's key, each part read by its kind; raise Problem when it is another list's."""
        if self.cursor is None:
            return None
        try:
            return tuple(kind(part) for kind, part in zip(kinds, self.cursor, strict=True))
        except (ValueError, TypeError, OverflowError) as error:
            raise invalid([FieldProblem("cursor", "it is not a cursor of this list")]) from error


class Page(AnswerModel, Generic[Shown]):
    """A page of a list; `next_cursor` leads on, null at the end."""

    items: list[Shown]
    next_cursor: str | None


def page(
    query: PageQuery,
    found: Sequence[Item],
    *,
    key: Callable[[Item], Key],
    show: Callable[[Item], Shown],
) -> Page[Shown]:
    """Answer with a page of `found`, which holds up to `limit + 1` items to tell whether there are more."""
    shown = found[: query.limit]
    more = len(found) > query.limit
    # What `show` made has been validated.
    return Page.model_construct(
        items=[show(item) for item in shown],
        next_cursor=encode_cursor(key(shown[-1])) if more else None,
    )


def encode_cursor(key: Key) -> str:
    """Write a key as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
