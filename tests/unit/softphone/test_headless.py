"""Lines of text to commands, events to lines of text."""

from __future__ import annotations

import pytest

from softphone.engine import commands, events
from softphone.engine.events import CallState, CallStateChanged
from softphone.engine.sound import continuous
from softphone.headless import Interpreter, describe

RING = events.IncomingCall(call="in-1", number="0002", display_name="Bob Baker", uri="sip:0002@x")


def ended(call: str) -> CallStateChanged:
    return CallStateChanged(call=call, state=CallState.ENDED, status=200, reason="OK")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("call 0002", commands.PlaceCall(call="out-1", target="0002")),
        ("tone 440", commands.PlayTone(tone=continuous(440))),
        ("tone 697 1209", commands.PlayTone(tone=continuous(697, 1209))),
        ('play "my file.wav"', commands.PlayWav(path="my file.wav")),
        ("stop", commands.StopPlaying()),
        ("record heard.wav", commands.StartRecording(path="heard.wav")),
        ("stop recording", commands.StopRecording()),
        ("quit", commands.ShutDown()),
    ],
)
def test_a_line_is_a_command(line: str, command: commands.Command) -> None:
    assert Interpreter(auto_answer=False).command(line) == command


@pytest.mark.parametrize(
    "line",
    ["dance", "call", "call 1 2", "tone", "tone high", "tone 1 2 3", "tone 5", "hang", "play 'unclosed"],
)
def test_a_line_that_means_nothing_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Interpreter(auto_answer=False).command(line)


@pytest.mark.parametrize("line", ["answer", "reject", "hang up", "dtmf 1"])
def test_without_a_call_there_is_none_to_mean(line: str) -> None:
    with pytest.raises(ValueError, match="there is no call"):
        Interpreter(auto_answer=False).command(line)


def test_the_latest_call_is_meant() -> None:
    interpreter = Interpreter(auto_answer=False)
    interpreter.command("call 0003")
    assert interpreter.react(RING) is None

    assert interpreter.command("answer") == commands.Answer(call="in-1")
    assert interpreter.command("dtmf 12#") == commands.SendDtmf(call="in-1", digits="12#")
    assert interpreter.command("reject") == commands.Reject(call="in-1")
    interpreter.react(ended("in-1"))
    assert interpreter.command("hang up") == commands.HangUp(call="out-1")
    interpreter.react(ended("out-1"))
    with pytest.raises(ValueError, match="there is no call"):
        interpreter.command("hang up")


def test_each_call_has_a_new_name() -> None:
    interpreter = Interpreter(auto_answer=False)

    assert interpreter.command("call 0002") != interpreter.command("call 0002")


def test_calls_are_answered_by_themselves_only_when_asked_for() -> None:
    assert Interpreter(auto_answer=True).react(RING) == commands.Answer(call="in-1")
    assert Interpreter(auto_answer=False).react(RING) is None


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (events.Started(address="127.0.0.1", port=5070, library="pjsip 2"), "started 127.0.0.1:5070 pjsip 2"),
        (events.Registered(number="0001", expires_s=120), "registered 0001 for 120 s"),
        (
            events.RegistrationFailed(number="0001", status=503, reason="Full", retrying=True),
            "registration failed 0001 503 Full (trying again)",
        ),
        (
            events.RegistrationFailed(number="0001", status=401, reason="Unauthorized", retrying=False),
            "registration failed 0001 401 Unauthorized",
        ),
        (events.Unregistered(number="0001"), "unregistered 0001"),
        (RING, "incoming in-1 0002 Bob Baker"),
        (ended("out-1"), "call out-1 ended 200 OK"),
        (
            CallStateChanged(
                call="c", state=CallState.ENDED, status=404, reason="Not Found", detail="No 0009"
            ),
            "call c ended 404 Not Found (No 0009)",
        ),
        (events.MediaStarted(call="in-1", codec="G722", clock_rate_hz=16000), "sound in-1 G722/16000"),
        (events.DtmfReceived(call="in-1", digit="#"), "dtmf in-1 #"),
        (events.PlayingFinished(path="a.wav"), "played a.wav"),
        (events.RecordingStopped(path="a.wav"), "recorded a.wav"),
        (events.CommandFailed(command="Answer", reason="there is no call"), "error Answer: there is no call"),
        (events.Stopped(), "stopped"),
        (events.EngineFailed(exit_code=-6, reason="SIGABRT"), "engine failed: SIGABRT"),
    ],
)
def test_an_event_is_a_line(event: events.Event, line: str) -> None:
    assert describe(event) == line
