"""Very long bills: how long they take to set, and that this process's memory does not grow by them."""

import resource
import time

import pytest

from billing_service.bill_rendering.html import bill_as_html
from billing_service.bill_rendering.pdf import bills_as_pdf, each_as_pdf
from tests.support.bill_documents import call, readable

CALLS = 5_000
LONGEST_S = 60  # 4 s of CPU time, on a machine that may have other things to do
MOST_GROWTH_MB = 150


def resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_bills_with_thousands_of_calls_are_set_in_time_and_leave_nothing_in_memory() -> None:
    bill = readable([call(number) for number in range(CALLS)])
    before_mb = resident_mb()
    started_at = time.monotonic()
    assert bills_as_pdf([bill]).startswith(b"%PDF-")
    took_s = time.monotonic() - started_at
    page = "".join(bill_as_html(bill))
    assert page.count("<tr>") > CALLS
    files = each_as_pdf([bill] * 5)
    assert len(files) == 5
    grown_mb = resident_mb() - before_mb
    assert took_s < LONGEST_S, f"{CALLS} calls took {took_s:.1f} s"
    assert grown_mb < MOST_GROWTH_MB, f"six such bills made this process {grown_mb:.0f} MB larger"
