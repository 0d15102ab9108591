"""Where a log-in may lead to."""

import pytest

from admin_web.access import login_url, safe_next


@pytest.mark.parametrize(
    "target", ["/", "/live", "/accounts/0001?calls=x#calls", "/customers?q=%C3%BC&cursor=a%3D"]
)
def test_pages_of_the_console_are_kept(target: str) -> None:
    assert safe_next(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "live",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/live\r\nSet-Cookie: a=b",
        "/\t/evil.example",
        "/login?next=/login",
        "/logout",
    ],
)
def test_anything_else_becomes_the_front_page(target: str) -> None:
    assert safe_next(target) == "/"


def test_the_wanted_page_survives_in_the_address_of_the_login() -> None:
    assert (
        login_url("/calls?number=1&to=2", why="idle") == "/login?next=/calls%3Fnumber%3D1%26to%3D2&why=idle"
    )
