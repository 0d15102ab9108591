"""Cursors: what goes in comes out, and what was never given out is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_service.http_api.pages import PageQuery, encode_cursor, page
from billing_service.http_api.problems import Problem

keys = st.lists(st.one_of(st.text(), st.integers()), min_size=1, max_size=4).map(tuple)


@given(keys)
def test_a_cursor_is_read_as_the_key_it_was_made_of(key: tuple[str | int, ...]) -> None:
    cursor = encode_cursor(key)
    assert cursor.replace("-", "").replace("_", "").isalnum()  # as it is in an address
    assert PageQuery.model_validate({"cursor": cursor}).cursor == key


@given(st.text(max_size=60))
def test_any_other_text_is_a_key_or_refused(text: str) -> None:
    try:
        key = PageQuery.model_validate({"cursor": text}).cursor
    except ValueError as refused:
        assert "it is not a cursor of this list" in str(refused)  # noqa: PT017 - some texts are cursors
    else:
        assert isinstance(key, tuple)


@pytest.mark.parametrize("key", [("text",), (1, 2), (2**70, "x"), ("x" * 500, 1, 1)])
def test_a_cursor_of_another_list_is_refused(key: tuple[str | int, ...]) -> None:
    query = PageQuery.model_validate({"cursor": encode_cursor(key)})
    with pytest.raises(Problem) as refused:
        query.after(int)
    assert [error.field for error in refused.value.errors] == ["cursor"]


def test_without_a_cursor_a_list_starts_at_its_beginning() -> None:
    assert PageQuery().after(int) is None


def test_one_item_more_than_asked_for_tells_that_there_is_a_next_page() -> None:
    query = PageQuery.model_validate({"limit": "2"})

    def shown(found: list[int]) -> tuple[list[dict[str, int]], str | None]:
        answer = page(query, found, key=lambda item: (item,), show=lambda item: {"n": item})
        return answer.items, answer.next_cursor

    assert shown([]) == ([], None)
    assert shown([1, 2]) == ([{"n": 1}, {"n": 2}], None)
    assert shown([1, 2, 3]) == ([{"n": 1}, {"n": 2}], encode_cursor((2,)))
