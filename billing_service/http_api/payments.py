"""Payments: each once, whatever the network does to the request."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Amount, Number, OptionalLine
from billing_service.http_api.operations import Operations
from billing_service.http_api.preconditions import idempotency_key
from billing_service.http_api.services import actor, services
from billing_service.storage.idempotency import run_once
from billing_service.use_cases.record_payment import Payment, record_payment

operations = Operations("payments")

BillNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{6,9}$")]


class NewPayment(RequestModel):
    """A payment to be taken."""

    account: Number
    amount: Amount
    bill: BillNumber | None = None
    note: OptionalLine = ""


class PaymentAnswer(AnswerModel):
    """A payment that was taken: the bills that it paid in full, and whether the account may call again."""

    id: int
    settled: list[str]
    reactivated: bool


@operations.post(
    "/v1/payments", scope=Scope.PAYMENTS_WRITE, status=201, answer=PaymentAnswer, idempotent=True
)
async def post_payment(request: web.Request, body: NewPayment) -> web.Response:
    """Take a payment; the same `Idempotency-Key` again gets the first answer again and pays nothing."""
    key, new = idempotency_key(request), body
    parts, who = services(request), actor(request)
    payment = Payment(new.account, new.amount, new.bill, new.note, who)
    facts = {
        "account": new.account,
        "amount": new.amount.format_precise(),
        "bill": new.bill,
        "note": new.note,
    }

    def pay(session: Session) -> tuple[int, dict[str, Any]]:
        receipt = record_payment(session, payment, at=parts.now(), currency=parts.settings.currency)
        return 201, {
            "id": receipt.entry_id,
            "settled": list(receipt.settled),
            "reactivated": receipt.reactivated,
        }

    status, answer = await parts.database.run(
        lambda session: run_once(session, scope="payments", key=key, request=facts, work=pay)
    )
    return web.json_response(answer, status=status)
