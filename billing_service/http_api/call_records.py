"""`POST /internal/v1/call-records`: the intake of call records (`docs/api/internal.md`)."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from billing_service.domain.call import Call, EndedBy, Outcome
from billing_service.domain.errors import FieldProblem
from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import describe, read_json, unstorable_texts
from billing_service.http_api.fields import Instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.problems import invalid
from billing_service.http_api.services import services
from billing_service.use_cases.store_call_records import Delivery, store_call_records

MOST_RECORDS = 1000
# A large batch on a slow machine must get through, or it would come again for ever; the exchange waits 30 s.
INTAKE_TIMEOUT_S = 25.0

operations = Operations("exchange")


class CallRecordModel(BaseModel):
    """The form of one call record. What an exchange of a later version adds is ignored, not refused."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    record_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
    call_id: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    caller: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    callee: Annotated[str, StringConstraints(max_length=128)]
    emergency: bool
    invited_at: Instant
    ringing_at: Instant | None
    answered_at: Instant | None
    acknowledged_at: Instant | None
    ended_at: Instant
    duration_us: Annotated[int, Field(ge=0, le=2**53)]
    outcome: Literal["answered", "cancelled", "busy", "no_answer", "rejected", "failed"]
    status: Annotated[int, Field(ge=100, le=699)]
    reason: Annotated[str, StringConstraints(max_length=1000)]
    ended_by: Literal["caller", "callee", "exchange"]

    def to_call(self) -> Call:
        """Return the record as the domain knows it."""
        facts = self.model_dump()
        return Call(**{**facts, "outcome": Outcome(self.outcome), "ended_by": EndedBy(self.ended_by)})


class RecordResultAnswer(AnswerModel):
    """What became of one record; `reason` is there only when it was rejected."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    record_id: str | None
    status: Literal["stored", "duplicate", "rejected"]
    reason: str | None = None


class IntakeAnswer(AnswerModel):
    """What became of each record, in the order in which they came."""

    results: list[RecordResultAnswer]


@operations.post(
    "/internal/v1/call-records", scope=Scope.EXCHANGE, answer=IntakeAnswer, consumes=("application/json",)
)
async def post_call_records(request: web.Request) -> web.Response:
    """Store a batch; a record that is wrong is answered as rejected and never spoils the others."""
    parts = services(request)
    received_at = parts.now()
    records = _records(await read_json(request))
    deliveries = [_delivery(record) for record in records]
    results = await parts.database.run(
        lambda session: store_call_records(
            session,
            deliveries,
            plans=parts.plans,
            currency=parts.settings.currency,
            zone=parts.settings.timezone,
            received_at=received_at,
        ),
        within_s=INTAKE_TIMEOUT_S,
    )
    return web.json_response(
        {
            "results": [
                {
                    "record_id": record["record_id"] if isinstance(record.get("record_id"), str) else None,
                    "status": result.receipt.value,
                    **({} if result.reason is None else {"reason": result.reason}),
                }
                for record, result in zip(records, results, strict=True)
            ]
        }
    )


def _records(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise invalid([FieldProblem("records", "a list of call records is expected")])
    unknown = sorted(body.keys() - {"records"})
    if unknown:
        raise invalid(FieldProblem(name, "Extra inputs are not permitted") for name in unknown)
    records: list[Any] = body["records"]
    if len(records) > MOST_RECORDS:
        raise invalid([FieldProblem("records", f"at most {MOST_RECORDS} at once")])
    wrong = [
        FieldProblem(f"records[{index}]", "an object is expected")
        for index, record in enumerate(records)
        if not isinstance(record, dict)
    ]
    if wrong:
        raise invalid(wrong)
    return records


def _delivery(record: dict[str, Any]) -> Delivery:
    problems = unstorable_texts(record)
    if not problems:
        try:
            return Delivery(record, CallRecordModel.model_validate(record).to_call())
        except ValidationError as error:
            problems = describe(error)
    return Delivery(record, None, "; ".join(f"{problem.field}: {problem.message}" for problem in problems))
