"""Addresses of resources and the words of a refusal."""

from unittest.mock import sentinel

import pytest
from yarl import URL

from admin_web.service_http import NotFound, Problem, ServiceHttp


def http(actor: str | None = None) -> ServiceHttp:
    return ServiceHttp(
        service="billing",
        base_url=URL("http://127.0.0.1:8000"),
        token="token",
        client=sentinel.no_connection_needed,
        actor=actor,
    )


def test_a_segment_stays_one_segment_whatever_it_contains() -> None:
    url = http().url("v1", "bills", "a/b?c#d%2f é")
    assert str(url) == "http://127.0.0.1:8000/v1/bills/a%2Fb%3Fc%23d%252f%20%C3%A9"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_can_not_climb(segment: str) -> None:
    with pytest.raises(NotFound):
        http().url("v1", "bills", segment)


def test_the_actor_is_named_only_when_there_is_one() -> None:
    assert http().headers() == {"Authorization": "Bearer token"}
    assert http().acting_as("ada").headers()["Tollbell-Actor"] == "ada"


@pytest.mark.parametrize("login", ["a\r\nX-Evil: 1", "żółw", "a\x00b"])
def test_a_strange_login_can_not_break_the_headers(login: str) -> None:
    value = http(login).headers()["Tollbell-Actor"]
    assert value.isascii()
    assert value.isprintable()


def test_a_problem_is_told_with_its_fields() -> None:
    problem = Problem.model_validate(
        {
            "title": "Not valid",
            "errors": [{"field": "number", "message": "is taken"}, {"message": "and more"}],
        }
    )
    assert problem.text() == "Not valid; number: is taken; and more"


def test_a_long_problem_is_cut() -> None:
    assert len(Problem(detail="x" * 10_000).text()) == 500
