"""Tokens for programs: shown once, kept as a hash, good until they expire or are withdrawn."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Scope
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.tables import ApiToken

# Makes a leaked one easy to recognise and to search for.
_PREFIX: Final = "tollbell_"
_NOTE_USE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a token that is in force allows."""

    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None


def looks_like_token(shown: bytes) -> bool:
    """Whether it can be a token at all, so that anything else needs no look into the database."""
    return shown.startswith(_PREFIX.encode()) and len(shown) < 200


def make_token(
    session: Session,
    *,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime | None,
    actor: str,
    at: datetime,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which is nowhere else.

    Raises Conflict when a token in force has this name, and InvalidFields when it would be over already.
    """
    if expires_at is not None and expires_at <= at:
        raise InvalidFields.one("expires_at", "this is over already")
    same_name = select(ApiToken.id).where(
        func.lower(ApiToken.name) == name.lower(), ApiToken.revoked_at.is_(None)
    )
    if session.scalar(same_name) is not None:
        raise Conflict(f"There is already a token {name}.")
    text = _PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        name=name,
        digest=hashlib.sha256(text.encode()).digest(),
        scopes=sorted(scope.value for scope in scopes),
        created_at=at,
        created_by=actor,
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="token",
        subject=token.id,
        after={
            "name": name,
            "scopes": token.scopes,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        },
    )
    return token, text


def revoke_token(session: Session, token_id: int, *, actor: str, at: datetime) -> ApiToken:
    """Withdraw a token for good; doing it again changes nothing. Raises NotFound."""
    token = session.get(ApiToken, token_id, with_for_update=True)
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    if token.revoked_at is None:
        token.revoked_at = at
        record_change(
            session,
            actor=actor,
            action="revoke",
            subject_kind="token",
            subject=token_id,
            before={"revoked_at": None},
            after={"revoked_at": at.isoformat()},
        )
    return token


def find_token(session: Session, token_id: int) -> ApiToken:
    """Return a token; raise NotFound."""
    token = session.get(ApiToken, token_id)
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def list_tokens(session: Session, *, before_id: int | None, limit: int) -> Sequence[ApiToken]:
    """Return tokens, newest first, those no longer in force too."""
    query = select(ApiToken).order_by(ApiToken.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ApiToken.id < before_id)
    return session.scalars(query).all()


def use_token(session: Session, digest: bytes, *, at: datetime) -> TokenGrant | None:
    """Return what the token with this SHA-256 allows at an instant, None when it is nobody's or over.

    Notes that it was used, at most once a minute.
    """
    token = session.scalar(select(ApiToken).where(ApiToken.digest == digest))
    if token is None or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= at:
        return None
    if token.last_used_at is None or token.last_used_at <= at - _NOTE_USE_EVERY:
        session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=at))
    # A scope that this version does not know any more allows nothing.
    known = {scope.value for scope in Scope}
    scopes = frozenset(Scope(scope) for scope in token.scopes if scope in known)
    return TokenGrant(token.name, scopes, token.expires_at)
