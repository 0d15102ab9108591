"""Keeps the live board up to date over one connection to the exchange, however many browsers look at it."""

import asyncio
from contextlib import aclosing

import structlog
from pydantic import ValidationError

from admin_web.event_stream import ServerSentEvent
from admin_web.exchange_client import ExchangeClient
from admin_web.exchange_models import LiveCall, RegistrationChange, SecurityEvent, Snapshot
from admin_web.live_board import LiveBoard
from admin_web.service_http import ServiceError

log = structlog.stdlib.get_logger(__name__)

FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 2.0


async def follow_exchange(exchange: ExchangeClient, board: LiveBoard) -> None:
    """Read the event stream for ever; reconnect when it breaks. Ends by cancellation only."""
    retry_s = FIRST_RETRY_S
    while True:
        try:
            async with aclosing(exchange.events()) as events:
                async for event in events:
                    apply_event(board, event)
                    retry_s = FIRST_RETRY_S
        except ServiceError as error:
            if board.connected or str(error) != board.problem:
                log.warning("exchange_lost", problem=str(error))
            board.lose(str(error))
        except ValidationError as error:
            log.error("exchange_event_not_understood", problem=str(error))
            board.lose("The exchange sends events that this console does not understand.")
        await asyncio.sleep(retry_s)
        retry_s = min(retry_s * 2, LONGEST_RETRY_S)


def apply_event(board: LiveBoard, event: ServerSentEvent) -> None:
    """Put one event on the board; unknown kinds are ignored. Raises pydantic.ValidationError."""
    match event.name:
        case "snapshot":
            board.take_snapshot(Snapshot.model_validate_json(event.data))
            log.info("exchange_connected", calls=board.call_count, phones=board.phone_count)
        case "call":
            board.take_call(LiveCall.model_validate_json(event.data))
        case "registration":
            board.take_registration(RegistrationChange.model_validate_json(event.data))
        case "security":
            board.take_security_event(SecurityEvent.model_validate_json(event.data))
