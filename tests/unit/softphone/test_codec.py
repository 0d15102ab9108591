"""Commands and events as lines of JSON."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softphone.engine.codec import MalformedMessageError, decode_command, decode_event, encode
from softphone.engine.commands import Command, PlayTone, Register, StartUp, Transport
from softphone.engine.events import CallState, CallStateChanged, EngineFailed, Event
from softphone.engine.sound import Burst, Side, Tone, dtmf_tone

bursts = st.builds(
    Burst,
    frequencies=st.lists(st.integers(20, 7000), min_size=1, max_size=2).map(tuple),
    on_ms=st.integers(1, 60_000),
    off_ms=st.integers(0, 60_000),
)
tones = st.builds(Tone, bursts=st.lists(bursts, min_size=1).map(tuple), repeat=st.booleans())
st.register_type_strategy(Tone, tones)


@given(st.one_of(*(st.from_type(command) for command in get_args(Command))))
def test_every_command_survives_the_line(command: Command) -> None:
    line = encode(command)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_command(line) == command


@given(st.one_of(*(st.from_type(event) for event in get_args(Event))))
def test_every_event_survives_the_line(event: Event) -> None:
    assert decode_event(encode(event)) == event


def test_a_line_reads_as_what_it_means() -> None:
    assert json.loads(encode(PlayTone(tone=dtmf_tone("5"), side=Side.EAR))) == {
        "type": "PlayTone",
        "tone": {"bursts": [{"frequencies": [770, 1336], "on_ms": 100, "off_ms": 60}], "repeat": False},
        "side": "ear",
    }


def test_fields_that_are_left_out_have_their_defaults() -> None:
    assert decode_command(b'{"type": "StartUp", "transport": "tcp"}') == StartUp(transport=Transport.TCP)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"[]",
        b'"StartUp"',
        b"{}",
        b'{"type": "Explode"}',
        b'{"type": ["StartUp"]}',
        b'{"type": "Registered", "number": "0001", "expires_s": 60}',  # an event is not a command
        b'{"type": "StartUp", "transport": "pigeon"}',
        b'{"type": "StartUp", "port": "5060"}',
        b'{"type": "StartUp", "port": true}',
        b'{"type": "StartUp", "colour": "red"}',
        b'{"type": "Answer"}',
        b'{"type": "PlayTone", "tone": 440}',
        b'{"type": "PlayTone", "tone": {"bursts": 440}}',
        b'{"type": "PlayTone", "tone": {"bursts": []}}',
        b'{"type": "PlayTone", "tone": {"bursts": [{"frequencies": [440], "on_ms": 0}]}}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_not_a_command_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_command(line)


def test_a_command_is_not_an_event() -> None:
    with pytest.raises(MalformedMessageError, match="StartUp"):
        decode_event(encode(StartUp()))


def test_what_may_be_missing_may_be_null() -> None:
    event = EngineFailed(exit_code=None, reason="gone")

    assert decode_event(encode(event)) == event


def test_enumerations_come_back_as_themselves() -> None:
    event = CallStateChanged(call="in-1", state=CallState.ENDED, status=486, reason="Busy Here")

    decoded = decode_event(encode(event))

    assert isinstance(decoded, CallStateChanged)
    assert decoded.state is CallState.ENDED


def test_a_password_shows_in_no_representation() -> None:
    command = Register(number="0001", password="s3cret", server="127.0.0.1:5060", domain="tollbell.local")

    assert "s3cret" not in repr(command)
    assert decode_command(encode(command)) == command
