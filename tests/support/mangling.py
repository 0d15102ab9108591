"""Messages that got damaged on their way, or were made to do damage."""

from typing import NamedTuple

from hypothesis import strategies as st


class Edit(NamedTuple):
    """A piece of a message, by its place in thousandths, and what comes instead; None doubles it."""

    place: int
    length: int
    instead: bytes | None


EDITS = st.lists(
    st.builds(
        Edit,
        st.integers(0, 1000),
        st.integers(0, 30),
        st.one_of(
            st.none(),
            st.just(b""),
            st.binary(max_size=8),
            st.sampled_from([b"\r\n", b"\r\n\r\n", b"\n", b"\x00", *(bytes([each]) for each in b',;"<>:%')]),
        ),
    ),
    max_size=4,
)


def mangle(data: bytes, edits: list[Edit]) -> bytes:
    """Cut pieces out of a message, double or overwrite them."""
    for edit in edits:
        start = edit.place * len(data) // 1000
        piece = data[start : start + edit.length]
        instead = piece * 2 if edit.instead is None else edit.instead
        data = data[:start] + instead + data[start + edit.length :]
    return data
