"""A bill as a web page of its own: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from billing_service.bill_rendering.printed_bill import print_bill
from billing_service.use_cases.readable_bill import ReadableBill


def bill_as_html(bill: ReadableBill) -> Iterator[str]:
    """The page in pieces, as it is made; takes CPU time in proportion to the calls."""
    return _template().generate(bill=print_bill(bill))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("billing_service.bill_rendering"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("bill.html")
