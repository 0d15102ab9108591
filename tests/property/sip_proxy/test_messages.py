"""Properties of message syntax: nothing raises, nothing changes that nobody touched."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.framing import FramingError, StreamFramer
from sip_proxy.core.message.grammar import parse_parameters, quote_string, split_commas, unquote_string
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.uri import parse_uri
from sip_proxy.core.message.via import parse_via, with_source

TOKEN = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=12)
VALUE = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=40).filter(
    lambda text: not text.startswith((" ", "\t"))
)
HEADERS = st.lists(st.tuples(TOKEN, VALUE), max_size=12)


def refusal_of(action: Callable[[], object]) -> int | None:
    """Do it; return the status that it is refused with, or None."""
    try:
        action()
    except (MalformedMessage, FramingError) as error:
        return error.status
    return None


@given(HEADERS, st.binary(max_size=50))
def test_any_headers_and_body_come_back_byte_for_byte(headers: list[tuple[str, str]], body: bytes) -> None:
    lines = ["INVITE sip:b@example.com SIP/2.0", *(f"{name}: {value}" for name, value in headers)]
    data = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    assert parse_message(data).encode() == data


@given(HEADERS)
def test_the_values_of_a_header_are_found_in_order_whatever_else_is_there(
    headers: list[tuple[str, str]],
) -> None:
    lines = ["SIP/2.0 200 OK", *(f"{name}: {value}" for name, value in headers), "X-Wanted: 1", "x-WANTED:2"]
    message = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert message.values("x-wanted") == ["1", "2"]


@given(st.binary(max_size=300))
def test_noise_never_does_anything_but_be_malformed(data: bytes) -> None:
    assert refusal_of(lambda: parse_message(data).check()) in {None, 400, 505, 513}


@given(st.lists(st.text(max_size=20).map(quote_string), min_size=1, max_size=6))
def test_quoted_strings_with_anything_in_them_are_split_where_they_end(values: list[str]) -> None:
    assert split_commas(", ".join(values)) == values


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp")), max_size=40))
def test_a_display_name_survives_being_written_and_read(name: str) -> None:
    written = quote_string(name)
    address = parse_name_addr(f"{written} <sip:a@h>;tag=x")
    assert address.display_name == unquote_string(written)
    assert address.tag == "x"


@given(st.dictionaries(TOKEN.map(str.lower), st.one_of(st.just(""), TOKEN), max_size=6))
def test_parameters_survive_being_written_and_read_with_and_without_spaces(
    parameters: dict[str, str],
) -> None:
    pairs = [f"{name}={value}" if value else name for name, value in parameters.items()]
    assert parse_parameters("".join(f";{pair}" for pair in pairs)) == parameters
    assert parse_parameters("".join(f" ; {pair} " for pair in pairs)) == parameters


@given(st.text(max_size=60))
def test_addresses_uris_and_vias_are_read_or_malformed(text: str) -> None:
    for parse in (parse_uri, parse_name_addr, parse_via):
        assert refusal_of(partial(parse, text)) in {None, 400, 416}


@given(
    TOKEN,
    st.integers(1, 65535),
    st.booleans(),
    st.sampled_from(["192.0.2.9", "2001:db8::1"]),
    st.integers(1, 65535),
)
def test_a_stamped_via_tells_the_true_source_and_is_still_the_same_via(
    branch: str, sent_port: int, rport: bool, source: str, port: int
) -> None:
    value = f"SIP/2.0/UDP 10.0.0.1:{sent_port};branch=z9hG4bK{branch}{';rport' if rport else ''}"
    via = parse_via(value)
    stamped = parse_via(with_source(value, via, source, port))
    assert (stamped.transport, stamped.host, stamped.port) == (via.transport, via.host, via.port)
    assert stamped.branch == via.branch
    assert stamped.parameters["received"] == source
    assert stamped.parameters.get("rport") == (str(port) if rport else None)


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_is_cut_into_the_same_messages_however_it_arrives(
    bodies: list[bytes], cuts: list[int]
) -> None:
    messages = [
        b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies
    ]
    stream = b"".join(messages)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    framer = StreamFramer()
    out = []
    for start, end in pairwise(places):
        framer.feed(stream[start:end])
        while (message := framer.next_message()) is not None:
            out.append(message)
    assert out == messages
    assert framer.is_idle()


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_a_stream_of_noise_ends_in_silence_or_a_framing_error(pieces: list[bytes]) -> None:
    framer = StreamFramer()

    def feed_all() -> None:
        for piece in pieces:
            framer.feed(piece)
            while framer.next_message() is not None:
                pass

    assert refusal_of(feed_all) in {None, 400, 413, 513}
