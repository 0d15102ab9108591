"""Customers: list, create, read, edit."""

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from billing_service.domain.permissions import Scope
from billing_service.errors import NotFound
from billing_service.http_api.answers import AnswerModel, InstantText
from billing_service.http_api.bodies import ChangesModel, RequestModel
from billing_service.http_api.fields import Line, LocaleName, Number, SearchText, Text, format_instant
from billing_service.http_api.operations import Operations
from billing_service.http_api.pages import Page, PageQuery, page
from billing_service.http_api.preconditions import expected_versions, tag_answer
from billing_service.http_api.services import actor, services
from billing_service.storage.customer_queries import CustomerView, find_customer, list_customers
from billing_service.use_cases.manage_customers import create_customer, edit_customer

operations = Operations("customers")

CUSTOMER = r"/v1/customers/{id:[0-9]{1,18}}"

# An address that mail could be sent to; whether it can, only mail would show.
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class CustomerQuery(PageQuery):
    """What the list takes."""

    q: SearchText | None = None


class NewCustomer(RequestModel):
    """A customer to be created."""

    name: Line
    email: Email | None = None
    address: Text | None = None
    alternative_number: Number | None = None
    locale: LocaleName | None = None
    tax_exempt: bool = False


class CustomerChanges(ChangesModel):
    """What is to change; fields that are left out stay as they are."""

    name: Line = ""
    email: Email | None = None
    address: Text | None = None
    alternative_number: Number | None = None
    locale: LocaleName | None = None
    tax_exempt: bool = False


class CustomerAnswer(AnswerModel):
    """A customer."""

    id: int
    name: str
    email: str | None
    address: str | None
    alternative_number: str | None
    locale: str | None
    tax_exempt: bool
    created_at: InstantText
    account_count: int


@operations.get("/v1/customers", scope=Scope.CUSTOMERS_READ)
async def get_customers(request: web.Request, query: CustomerQuery) -> Page[CustomerAnswer]:
    """List customers, newest first."""
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_customers(
            session, text=query.q, before_id=after[0] if after else None, limit=query.limit + 1
        )
    )
    return page(query, found, key=lambda view: (view.customer.id,), show=_show)


@operations.post("/v1/customers", scope=Scope.CUSTOMERS_WRITE, status=201, etag=True)
async def post_customer(request: web.Request, body: NewCustomer) -> CustomerAnswer:
    """Create a customer."""
    parts, who = services(request), actor(request)
    customer = await parts.database.run(
        lambda session: create_customer(session, **body.model_dump(), actor=who, at=parts.now())
    )
    return _tagged(request, CustomerView(customer, 0))


@operations.get(CUSTOMER, scope=Scope.CUSTOMERS_READ, etag=True)
async def get_customer(request: web.Request) -> CustomerAnswer:
    """Read one customer."""
    return await _read(request, int(request.match_info["id"]))


@operations.patch(CUSTOMER, scope=Scope.CUSTOMERS_WRITE, if_match=True)
async def patch_customer(request: web.Request, body: CustomerChanges) -> CustomerAnswer:
    """Change some fields of a customer."""
    changes = body.model_dump(exclude_unset=True)
    customer_id, who, expected = int(request.match_info["id"]), actor(request), expected_versions(request)
    await services(request).database.run(
        lambda session: edit_customer(session, customer_id, changes, actor=who, expected=expected)
    )
    return await _read(request, customer_id)


async def _read(request: web.Request, customer_id: int) -> CustomerAnswer:
    view = await services(request).database.run(lambda session: find_customer(session, customer_id))
    if view is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return _tagged(request, view)


def _tagged(request: web.Request, view: CustomerView) -> CustomerAnswer:
    tag_answer(request, view.customer.row_version)
    return _show(view)


def _show(view: CustomerView) -> CustomerAnswer:
    customer = view.customer
    return CustomerAnswer(
        id=customer.id,
        name=customer.name,
        email=customer.email,
        address=customer.address,
        alternative_number=customer.alternative_number,
        locale=customer.locale,
        tax_exempt=customer.tax_exempt,
        created_at=format_instant(customer.created_at),
        account_count=view.account_count,
    )
