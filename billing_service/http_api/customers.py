"""Customers: list, create, read, edit."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from billing_service.errors import NotFound
from billing_service.http_api.bodies import RequestModel, read_body, read_query
from billing_service.http_api.fields import Line, Number, SearchText, Text, format_instant
from billing_service.http_api.pages import PageQuery, page
from billing_service.http_api.services import actor, services
from billing_service.storage.customer_queries import CustomerView, find_customer, list_customers
from billing_service.use_cases.manage_customers import create_customer, edit_customer

routes = web.RouteTableDef()

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


class CustomerChanges(RequestModel):
    """What is to change; fields that are left out stay as they are."""

    name: Line = ""
    email: Email | None = None
    address: Text | None = None
    alternative_number: Number | None = None


@routes.get("/v1/customers")
async def get_customers(request: web.Request) -> web.Response:
    """List customers, newest first."""
    query = read_query(request, CustomerQuery)
    after = query.after(int)
    found = await services(request).database.run(
        lambda session: list_customers(
            session, text=query.q, before_id=after[0] if after else None, limit=query.limit + 1
        )
    )
    return page(query, found, key=lambda view: (view.customer.id,), show=_show)


@routes.post("/v1/customers")
async def post_customer(request: web.Request) -> web.Response:
    """Create a customer."""
    new = await read_body(request, NewCustomer)
    parts, who = services(request), actor(request)
    customer = await parts.database.run(
        lambda session: create_customer(session, **new.model_dump(), actor=who, at=parts.now())
    )
    return web.json_response(_show(CustomerView(customer, 0)), status=201)


@routes.get(r"/v1/customers/{id:[0-9]{1,18}}")
async def get_customer(request: web.Request) -> web.Response:
    """Read one customer."""
    return web.json_response(await _read(request, int(request.match_info["id"])))


@routes.patch(r"/v1/customers/{id:[0-9]{1,18}}")
async def patch_customer(request: web.Request) -> web.Response:
    """Change some fields of a customer."""
    changes = (await read_body(request, CustomerChanges)).model_dump(exclude_unset=True)
    customer_id, who = int(request.match_info["id"]), actor(request)
    await services(request).database.run(
        lambda session: edit_customer(session, customer_id, changes, actor=who)
    )
    return web.json_response(await _read(request, customer_id))


async def _read(request: web.Request, customer_id: int) -> dict[str, Any]:
    view = await services(request).database.run(lambda session: find_customer(session, customer_id))
    if view is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return _show(view)


def _show(view: CustomerView) -> dict[str, Any]:
    customer = view.customer
    return {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "address": customer.address,
        "alternative_number": customer.alternative_number,
        "created_at": format_instant(customer.created_at),
        "account_count": view.account_count,
    }
