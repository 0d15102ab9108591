"""Writes that a client may repeat with the same `Idempotency-Key` and that happen once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.errors import Conflict
from billing_service.storage.tables import IdempotencyKey

Answer = tuple[int, dict[str, Any]]


def run_once(
    session: Session, *, scope: str, key: str, request: Mapping[str, Any], work: Callable[[Session], Answer]
) -> Answer:
    """Do the work and keep its answer (HTTP status and body), or return the answer kept from the first time.

    All in the caller's transaction: work that fails leaves no trace and may be tried again with its key.
    Raises Conflict when the key was used for another request.
    """
    # Held until the transaction ends: the second of two at once waits for the first one's answer.
    session.execute(select(func.pg_advisory_xact_lock(_lock_number(scope, key))))
    digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()
    known = session.get(IdempotencyKey, (scope, key))
    if known is not None:
        if known.request_digest != digest:
            raise Conflict("This Idempotency-Key was used for a different request; take a new one.")
        return known.status, known.answer
    status, answer = work(session)
    session.add(IdempotencyKey(scope=scope, key=key, request_digest=digest, status=status, answer=answer))
    return status, answer


def _lock_number(scope: str, key: str) -> int:
    digest = hashlib.sha256(f"{scope}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
