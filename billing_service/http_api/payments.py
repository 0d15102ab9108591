"""Money in and out: payments, credits and refunds, each once, whatever the network does to the request."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel, MoneyText
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import Line, MovedAmount, Number, OptionalLine
from billing_service.http_api.operations import Operations
from billing_service.http_api.preconditions import idempotency_key
from billing_service.http_api.services import actor, services
from billing_service.storage.idempotency import run_once
from billing_service.use_cases.give_credit import Credit, give_credit
from billing_service.use_cases.record_payment import Payment, record_payment
from billing_service.use_cases.refund_credit import Refund, refund_credit
from billing_service.use_cases.take_money import MoneyReceipt

operations = Operations("payments")

BillNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{6,9}$")]


class NewPayment(RequestModel):
    """A payment to be taken."""

    account: Number
    amount: MovedAmount
    bill: BillNumber | None = None
    note: OptionalLine = ""


class NewCredit(RequestModel):
    """A credit to be given."""

    account: Number
    amount: MovedAmount
    bill: BillNumber | None = None
    reason: Line


class NewRefund(RequestModel):
    """A refund to be made."""

    account: Number
    amount: MovedAmount
    reason: Line


class PaymentAnswer(AnswerModel):
    """Money that was booked: the bills that it paid in full, and whether the account may call again."""

    id: int
    settled: list[str]
    reactivated: bool


class RefundAnswer(AnswerModel):
    """A refund that was made, and the credit that the account has left, given credits included."""

    id: int
    credit_left: MoneyText


@operations.post(
    "/v1/payments", scope=Scope.PAYMENTS_WRITE, status=201, answer=PaymentAnswer, idempotent=True
)
async def post_payment(request: web.Request, body: NewPayment) -> web.Response:
    """Take a payment; the same `Idempotency-Key` again gets the first answer again and pays nothing."""
    parts = services(request)
    payment = Payment(body.account, body.amount, body.bill, body.note, actor(request))
    return await once(
        request,
        "payments",
        {**_facts(body), "bill": body.bill, "note": body.note},
        lambda session: _show(
            record_payment(session, payment, at=parts.now(), currency=parts.settings.currency)
        ),
    )


@operations.post("/v1/credits", scope=Scope.PAYMENTS_WRITE, status=201, answer=PaymentAnswer, idempotent=True)
async def post_credit(request: web.Request, body: NewCredit) -> web.Response:
    """Give an account a credit, with the reason; it pays bills as a payment does."""
    parts = services(request)
    credit = Credit(body.account, body.amount, body.bill, body.reason, actor(request))
    return await once(
        request,
        "credits",
        {**_facts(body), "bill": body.bill, "reason": body.reason},
        lambda session: _show(give_credit(session, credit, at=parts.now(), currency=parts.settings.currency)),
    )


@operations.post("/v1/refunds", scope=Scope.PAYMENTS_WRITE, status=201, answer=RefundAnswer, idempotent=True)
async def post_refund(request: web.Request, body: NewRefund) -> web.Response:
    """Pay money back, at most what was paid for the account beyond its bills; credits are never paid out."""
    parts = services(request)
    currency = parts.settings.currency
    refund = Refund(body.account, body.amount, body.reason, actor(request))

    def work(session: Session) -> dict[str, Any]:
        receipt = refund_credit(session, refund, at=parts.now(), currency=currency)
        return {"id": receipt.entry_id, "credit_left": receipt.credit_left.format(currency)}

    return await once(request, "refunds", {**_facts(body), "reason": body.reason}, work)


async def once(
    request: web.Request,
    scope: str,
    facts: Mapping[str, Any],
    work: Callable[[Session], dict[str, Any]],
    *,
    status: int = 201,
) -> web.Response:
    """Do a work that moves money under the request's Idempotency-Key, and answer with what it returns."""
    key = idempotency_key(request)
    done, answer = await services(request).database.run(
        lambda session: run_once(
            session, scope=scope, key=key, request=facts, work=lambda inner: (status, work(inner))
        )
    )
    return web.json_response(answer, status=done)


def _facts(body: NewPayment | NewCredit | NewRefund) -> dict[str, Any]:
    return {"account": body.account, "amount": body.amount.format_precise()}


def _show(receipt: MoneyReceipt) -> dict[str, Any]:
    return {
        "id": receipt.entry_id,
        "settled": list(receipt.settled),
        "reactivated": receipt.reactivated,
    }
