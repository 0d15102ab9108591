"""What the exchange's control API answers, typed (`docs/api/control.md`)."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Health(Model):
    status: str
    directory_version: int | None = None
    journal: str | None = None
    undelivered_records: int | None = None


class Info(Model):
    name: str
    version: str
    domain: str
    listening: tuple[str, ...]
    started_at: AwareDatetime


class CallState(StrEnum):
    INVITING = "inviting"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class LiveCall(Model):
    id: str
    call_id: str
    caller: str
    callee: str
    state: CallState
    emergency: bool
    invited_at: AwareDatetime
    ringing_at: AwareDatetime | None
    answered_at: AwareDatetime | None


class Registration(Model):
    number: str
    contact: str
    transport: str
    source: str
    user_agent: str | None
    registered_at: AwareDatetime
    expires_at: AwareDatetime


class Snapshot(Model):
    """The first event of a stream: everything as it is now."""

    calls: tuple[LiveCall, ...]
    registrations: tuple[Registration, ...]


class RegistrationChange(Model):
    """All bindings of one number; none: it is no longer registered."""

    number: str
    registrations: tuple[Registration, ...]


class SecurityEvent(Model):
    kind: str
    source: str
    number: str | None = None
    detail: str = ""
    at: AwareDatetime
