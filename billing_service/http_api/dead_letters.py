"""Dead letters: messages from the broker's queues that could not be taken, with the reason."""

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field

from billing_service.broker import BrokerLink
from billing_service.broker.dead_letters import (
    MOST_SHOWN,
    DeadLetter,
    list_dead_letters,
    remove_dead_letters,
    requeue_dead_letters,
)
from billing_service.domain.permissions import Scope
from billing_service.errors import Conflict, NotFound
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import QueryInteger, format_optional_instant
from billing_service.http_api.intake import BROKER
from billing_service.http_api.operations import Operations
from billing_service.http_api.services import actor, services
from billing_service.storage.audit import record_change

operations = Operations("dead-letters")

LETTER = "/v1/dead-letters/{letter_id:[0-9a-f]{32}}"


class DeadLetterQuery(RequestModel):
    """How many to show."""

    limit: Annotated[QueryInteger, Field(ge=1, le=MOST_SHOWN)] = 50


class DeadLetterAnswer(AnswerModel):
    """A message as it was sent. The same content has the same `id`."""

    id: str
    queue: str
    reason: str
    body: str
    sent_at: InstantText | None


class DeadLettersAnswer(AnswerModel):
    """The oldest dead letters."""

    items: list[DeadLetterAnswer]


class MovedAnswer(AnswerModel):
    """How many messages that concerned."""

    messages: int


@operations.get("/v1/dead-letters", scope=Scope.CALLS_READ, refuses=(HTTPStatus.CONFLICT,))
async def get_dead_letters(request: web.Request, query: DeadLetterQuery) -> DeadLettersAnswer:
    """List messages that could not be taken, the oldest first. They stay where they are."""
    letters = await list_dead_letters(_link(request), limit=query.limit)
    return DeadLettersAnswer(items=[_show(letter) for letter in letters])


@operations.post("/v1/dead-letters/requeue", scope=Scope.CALLS_WRITE)
async def post_requeue_all(request: web.Request) -> MovedAnswer:
    """Put all messages back into their queues, to be tried again."""
    count = await requeue_dead_letters(_link(request), lambda _: True)
    await _audit(request, "requeue", "all", count)
    return MovedAnswer(messages=count)


@operations.post(LETTER + "/requeue", scope=Scope.CALLS_WRITE)
async def post_requeue(request: web.Request) -> MovedAnswer:
    """Put one message back into its queue, to be tried again."""
    wanted = request.match_info["letter_id"]
    count = await requeue_dead_letters(_link(request), lambda letter: letter.letter_id == wanted)
    await _audit(request, "requeue", wanted, count)
    return MovedAnswer(messages=_found(count, wanted))


@operations.delete(LETTER, scope=Scope.CALLS_WRITE)
async def delete_dead_letter(request: web.Request) -> MovedAnswer:
    """Remove one message for good."""
    wanted = request.match_info["letter_id"]
    count = await remove_dead_letters(_link(request), lambda letter: letter.letter_id == wanted)
    await _audit(request, "remove", wanted, count)
    return MovedAnswer(messages=_found(count, wanted))


def _link(request: web.Request) -> BrokerLink:
    if BROKER not in request.app:
        raise Conflict("No broker is configured (TOLLBELL_BROKER_URL), so there are no dead letters.")
    return request.app[BROKER]


def _found(count: int, letter_id: str) -> int:
    if count == 0:
        raise NotFound(f"There is no dead letter {letter_id}.")
    return count


async def _audit(request: web.Request, action: str, subject: str, count: int) -> None:
    if count == 0:
        return
    who = actor(request)
    await services(request).database.run(
        lambda session: record_change(
            session,
            actor=who,
            action=action,
            subject_kind="dead_letter",
            subject=subject,
            changes={"messages": count},
        )
    )


def _show(letter: DeadLetter) -> DeadLetterAnswer:
    return DeadLetterAnswer(
        id=letter.letter_id,
        queue=letter.queue,
        reason=letter.reason,
        body=letter.body,
        sent_at=format_optional_instant(letter.sent_at),
    )
