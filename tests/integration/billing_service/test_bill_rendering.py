"""Bills as HTML and PDF, as their readers get them: `pdftotext` (poppler-utils) reads the PDF."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from html import unescape
from pathlib import Path

import pytest

from billing_service.bill_rendering import print_run
from billing_service.bill_rendering.html import bill_as_html
from billing_service.bill_rendering.isolated import UnableToSetBills
from billing_service.bill_rendering.labels import LANGUAGES
from billing_service.bill_rendering.labels.english import ENGLISH
from billing_service.bill_rendering.pdf import bills_as_pdf, each_as_pdf
from billing_service.bill_rendering.print_run import PrintRun
from billing_service.domain.money import Money
from billing_service.use_cases.readable_bill import ReadableBill, Received
from tests.support.bill_documents import FIRST_CALL_AT, bill_document, call, readable

HOSTILE = (
    "#panic() $x^2$ *bold* _it_ `raw` <b onclick=alert(1)>&amp; @ref \\ // /* */ [x](y) \"quotes\" 'single'",
    '#read("/etc/passwd") {{ config }} {% raw %}',
    "= Heading\\u{202e} שלום مرحبا Ελλάδα Привет",
    "\N{RIGHT-TO-LEFT OVERRIDE}live",
    "😀 \N{FAMILY}",
    "W" * 300,
)


def text_of(pdf: bytes) -> str:
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode()


def pages_of(pdf: bytes) -> list[str]:
    return text_of(pdf).split("\f")[:-1]


def only_text(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html))


def visible(text: str) -> str:
    """Without spaces, line ends, places to break and marks of direction, which are the layout's affair."""
    return "".join(
        c
        for c in text
        if not c.isspace() and c not in "\u200b\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u200e\u200f"
    )


def test_a_pdf_has_everything_that_is_on_the_bill() -> None:
    bill = readable([call(1), call(2, late=True)])
    text = text_of(bills_as_pdf([bill]))
    for expected in (
        "Lakeside Telephone",
        "Tax number CHE-123",
        "Bill 2026-000042",
        "Alice Example",
        "15 December 2026",
        "US$20.00 a month × 29 d of 30 d",
        "8.1 % of US$19.73",
        "Amount due",
        "US$21.33",
        "Please pay to CH93 0076 2011 6238 5295 7",
        "every day 08:00–12:00",
        "0041440000001",
        "Calls of earlier periods that arrived late",
        "Page 1 of 1",
    ):
        assert expected in text


def test_html_and_pdf_show_the_same_words() -> None:
    bill = readable([call(1), call(2, late=True)])
    html = visible(only_text("".join(bill_as_html(bill))))
    words = re.findall(r"\S+", text_of(bills_as_pdf([bill])).replace("Page 1 of 1", ""))
    assert len(words) > 80
    assert [word for word in words if visible(word) not in html] == []


def test_nothing_english_is_left_on_a_bill_in_another_language() -> None:
    included = {**call(1), "included_s": 60, "included": "0.10"}
    received = [Received("payment", FIRST_CALL_AT, Money.parse("1"))]
    bill = readable([included, call(2, late=True)], locale="pt_PT", is_overdue=True, received=received)
    html = "".join(bill_as_html(bill))
    assert '<html lang="pt">' in html
    pdf = text_of(bills_as_pdf([bill]))
    assert "Página 1 de 1" in pdf
    portuguese, english = asdict(LANGUAGES["pt"]), asdict(ENGLISH)
    headings = {name for name, label in english.items() if "{" not in label and len(label) > 4}
    for text in (only_text(html), pdf):
        for name in headings - {"total"}:
            assert not re.search(rf"\b{english[name]}\b", text), name
        for name in headings & {"billed_to", "amount_due", "how_to_pay", "late_calls", "charged_time"}:
            assert portuguese[name] in text, name


@pytest.mark.parametrize("name", HOSTILE[:5])
def test_hostile_text_comes_out_as_text(name: str) -> None:
    customer = {**bill_document()["customer"], "name": name, "address": f"{name}\n{name}"}
    company = {**bill_document()["company"], "name": name, "payment_instructions": name}
    bill = readable(customer=customer, company=company)
    html = "".join(bill_as_html(bill))
    assert "<b onclick" not in html
    assert html.count("<script") == 0
    assert visible(name) in visible(only_text(html))
    text = visible(text_of(bills_as_pdf([bill])))
    for word in name.split():
        if word.isascii():
            assert visible(word) in text


def test_a_very_long_name_stays_on_the_page() -> None:
    customer = {**bill_document()["customer"], "name": HOSTILE[5]}
    text = visible(text_of(bills_as_pdf([readable(customer=customer)])))
    assert text.count("W") >= 300
    assert "2026-000042" in text


def test_each_bill_has_its_own_page_numbers() -> None:
    long = readable([call(n) for n in range(120)])
    pages = pages_of(bills_as_pdf([long, readable(number="2026-000043")]))
    numbers = [re.search(r"Page (\d+) of (\d+)", page) for page in pages]
    assert [match and match.groups() for match in numbers] == [("1", "3"), ("2", "3"), ("3", "3"), ("1", "1")]
    assert "Number called" in pages[1], "the head of the list is on every page"
    assert "2026-000043" in pages[3]


def test_the_same_bill_is_the_same_file_and_one_process_sets_many() -> None:
    first, second = readable([call(1)]), readable(number="2026-000043")
    files = each_as_pdf([first, second])
    assert [file[:5] for file in files] == [b"%PDF-", b"%PDF-"]
    assert files[0] == bills_as_pdf([first])
    assert ["2026-000043" in text_of(file) for file in files] == [False, True]


def test_other_scripts_come_out_as_far_as_the_fonts_go() -> None:
    customer = {**bill_document()["customer"], "name": "Ελλάδα Привет Łódź"}
    assert "Ελλάδα Привет Łódź" in text_of(bills_as_pdf([readable(customer=customer)]))


def test_only_a_bill_with_included_minutes_has_a_column_for_them() -> None:
    used = readable([{**call(1), "included_s": 60, "included": "0.10"}, call(2)])
    for bill, shown in ((used, True), (readable([call(1)]), False)):
        assert ("Included" in text_of(bills_as_pdf([bill]))) is shown
        assert ("Included" in "".join(bill_as_html(bill))) is shown


def test_a_print_run_joins_its_parts_in_their_order_and_leaves_nothing_behind() -> None:
    def printed(*parts: Sequence[ReadableBill]) -> tuple[bytes, Path]:
        with PrintRun() as run:
            for part in parts:
                run.add(part)
            whole = run.join("Bills of 2026-12-01")
            return whole.read_bytes(), whole

    long = readable([call(n) for n in range(120)])
    bills = [readable(number="2026-000041"), long, readable(number="2026-000043")]
    document, file = printed(bills[:2], bills[2:])

    assert text_of(document) == text_of(bills_as_pdf(bills))
    about = subprocess.run(["pdfinfo", "-"], input=document, capture_output=True, check=True).stdout.decode()
    assert re.search("Title: +Bills of 2026-12-01\n", about)
    assert printed(bills[:2], bills[2:])[0] == document
    assert not file.parent.exists()


def test_parts_that_cannot_be_joined_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "joiner.py"
    broken.write_text("raise SystemExit('no space left')")
    monkeypatch.setattr(print_run, "JOINER", broken)
    with PrintRun() as run, pytest.raises(UnableToSetBills, match="no space left"):
        run.join("Bills")
