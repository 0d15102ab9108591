"""What the pages show, and that they show it safely."""

import re

import pytest

from tests.support.console import Console

ALL_PAGES = [
    "/login?why=idle",
    "/",
    "/live",
    "/phones",
    "/customers",
    "/customers?q=alice",
    "/customers/1",
    "/accounts",
    "/accounts?state=suspended",
    "/accounts/0001",
    "/accounts/0001?calls=20",
    "/accounts/0002",
    "/accounts/0003",
    "/accounts/0001/open-bill",
    "/bills",
    "/bills?state=unpaid&account=0001",
    "/bills/2026-000001",
    "/calls",
    "/calls?number=0001&from=2026-11-20T00:00&to=2026-11-22T00:00&outcome=answered",
    "/calls/00000000000000000000000000000001",
    "/errors",
    "/no-such-page",
]


def visible(html: str) -> str:
    """The words of a page without tags, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


@pytest.mark.parametrize("path", ALL_PAGES)
async def test_no_page_contains_code_or_styles_of_its_own(inside: Console, path: str) -> None:
    answer = await inside.get(path, follow=False)
    scripts = re.findall(r"<script[^>]*>", answer.text)
    assert all(re.fullmatch(r'<script (defer )?src="/static/[^"]+">', script) for script in scripts)
    assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", re.sub(r'"[^"]*"', '""', answer.text))
    assert "<style" not in answer.text
    assert "javascript:" not in answer.text


@pytest.mark.parametrize("path", ALL_PAGES)
async def test_nothing_that_people_wrote_becomes_html(inside: Console, path: str) -> None:
    html = (await inside.get(path)).text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "<b>Bold" not in html
    assert "<i>X</i>" not in html


@pytest.mark.parametrize("path", [*ALL_PAGES, "/static/console.js", "/health"])
async def test_every_answer_carries_the_security_headers(inside: Console, path: str) -> None:
    headers = (await inside.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")


async def test_files_with_a_fingerprint_are_kept_by_browsers(inside: Console) -> None:
    page = (await inside.get("/")).text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) >= 8
    for address in addresses:
        answer = await inside.get(address)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fsettings.py", "/static/"]
)
async def test_nothing_but_static_files_is_given_away(inside: Console, path: str) -> None:
    assert (await inside.get(path)).status in {403, 404}


async def test_the_overview_counts_everything(inside: Console) -> None:
    text = visible((await inside.get("/")).text)
    assert "Live calls 1" in text
    assert "Registered phones 1" in text
    assert "Calls today 31 12.34 CHF charged" in text
    assert "On open bills 1,234.50 CHF so far" in text
    assert "Exchange running" in text
    assert "Billing running" in text


async def test_customers_are_found_by_name(inside: Console) -> None:
    text = visible((await inside.get("/customers?q=ALICE")).text)
    assert "Alice Example" in text
    assert "Hotel" not in text
    nobody = visible((await inside.get("/customers?q=%3Cb%3E")).text)
    assert "Hotel &lt;b&gt;Bold&lt;/b&gt; &amp; Co" in nobody


async def test_a_customer_is_shown_with_the_phone_accounts(inside: Console) -> None:
    text = visible((await inside.get("/customers/1")).text)
    assert "alice@example.net" in text
    assert "Reception" in text
    assert "0002" not in text


async def test_accounts_are_filtered_by_state(inside: Console) -> None:
    text = visible((await inside.get("/accounts?state=suspended")).text)
    assert "0003" in text
    assert "Reception" not in text


async def test_an_account_shows_everything_about_it(inside: Console) -> None:
    text = visible((await inside.get("/accounts/0001")).text)
    for part in (
        "0001 Reception",
        "active ringing no phone registered",
        "Balance −12.50",
        "Calls at once 2",
        "deny 9#*",
        "Blocked callers 0003",
        "Open bill Show 21.20 CHF",  # 30 calls at 0.54 and a fee of 5.00
        "Calls (30) 16.20",
        "2026-000001",
    ):
        assert part in text


async def test_an_accounts_calls_are_paged(inside: Console) -> None:
    first = (await inside.get("/accounts/0001")).text
    assert first.count('data-label="With"') == 20
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = (await inside.get(following)).text
    assert second.count('data-label="With"') == 10
    assert 'rel="next"' not in second


async def test_an_incoming_call_is_not_shown_as_charged(inside: Console) -> None:
    rows = (await inside.get("/accounts/0002")).text.split("<tr>")
    (incoming, *_) = [row for row in rows if "from</span>" in row]
    assert "0.54" not in incoming


async def test_a_closed_bill_is_a_document(inside: Console) -> None:
    text = visible((await inside.get("/bills/2026-000001")).text)
    for part in (
        "Bill 2026-000001",
        "overdue",
        "Alice Example",
        "Evening, monthly fee 5.00",
        "Total 5.00",
        "Still to pay 5.00",
    ):
        assert part in text


async def test_the_open_bill_says_that_it_still_changes(inside: Console) -> None:
    text = visible((await inside.get("/accounts/0001/open-bill")).text)
    assert "It still changes." in text
    assert "30 calls 16.20" in text
    assert "Still to pay" not in text


async def test_a_bill_keeps_its_own_time_zone_and_currency(inside: Console) -> None:
    inside.billing.bills["2026-000001"] |= {"timezone": "Asia/Tokyo", "currency": "JPY"}
    text = visible((await inside.get("/bills/2026-000001")).text)
    assert "Amount (JPY)" in text
    assert "Period 2026-10-03 – 2026-11-02" in text  # 20:00 UTC is the next day in Tokyo


async def test_calls_are_searched_in_billing_time(inside: Console) -> None:
    # 20:00 to 20:30 in Zurich is 19:00 to 19:30 UTC: exactly the newest call.
    answer = await inside.get("/calls?number=0001&from=2026-11-21T20:00&to=2026-11-21T20:30")
    assert answer.text.count('data-label="Outcome"') == 1
    assert "2026-11-21 20:00:00" in answer.text
    asked = [path for _, path, _ in inside.billing.requests if path.startswith("/v1/calls?")][-1]
    assert "from=2026-11-21T19:00:00.000Z" in asked


async def test_a_search_time_that_is_none_is_told(inside: Console) -> None:
    answer = await inside.get("/calls?from=yesterday")
    assert answer.status == 200
    assert "is no date and time" in answer.text


async def test_a_call_is_shown_with_its_price_explained(inside: Console) -> None:
    text = visible((await inside.get("/calls/00000000000000000000000000000001")).text)
    for part in (
        "0001 to 0002",
        "Answered 2026-11-21 20:00:04 CET",
        "0.54",
        "2 minutes at 0.09",
        "Length 0:01:05",
    ):
        assert part in text


async def test_rejected_records_and_security_events_are_listed(inside: Console) -> None:
    inside.exchange.tell_security(
        kind="wrong_password",
        source="203.0.113.9:5060",
        number="0001",
        detail="<u>x</u>",
        at="2026-11-21T20:00:00Z",
    )
    await inside.get(
        "/live/stream?show="
    )  # ends at once: nothing wanted, but the event has been taken by then
    text = visible((await inside.get("/errors")).text)
    assert "ended_at is before answered_at" in text
    assert "&lt;script&gt;alert(3)&lt;/script&gt;" in text
    assert "wrong password 203.0.113.9:5060 0001 &lt;u&gt;x&lt;/u&gt;" in text


@pytest.mark.parametrize(
    "path",
    [
        "/no-such-page",
        "/customers/999",
        "/accounts/9999",
        "/bills/2026-999999",
        "/calls/ffff",
        "/accounts/0001/x",
    ],
)
async def test_what_does_not_exist_is_told_on_a_page(inside: Console, path: str) -> None:
    answer = await inside.get(path)
    assert answer.status == 404
    assert "<h1>Not" in answer.text
    assert 'aria-label="Main"' in answer.text


@pytest.mark.parametrize(
    "path", ["/bills/..%2F..%2Fsettings", "/accounts/..%2Fplans", "/calls/a%2Fb", "/customers/1e3"]
)
async def test_addresses_can_not_reach_other_parts_of_billing(inside: Console, path: str) -> None:
    before = len(inside.billing.requests)
    assert (await inside.get(path)).status == 404
    asked = [path for _, path, _ in inside.billing.requests[before:]]
    assert all(path == "/v1/info" for path in asked)


async def test_a_page_of_a_list_that_does_not_exist_is_told(inside: Console) -> None:
    answer = await inside.get("/customers?cursor=nonsense")
    assert answer.status == 200
    assert "the cursor is not one of ours" in answer.text
    assert "tries again by itself" not in answer.text


async def test_every_request_for_an_administrator_names_the_administrator(inside: Console) -> None:
    before = len(inside.billing.requests)
    await inside.get("/accounts/0001")
    asked = [(path, actor) for _, path, actor in inside.billing.requests[before:] if path != "/v1/info"]
    assert len(asked) == 4
    assert {actor for _, actor in asked} == {"admin"}
