"""A call that outlives its session timer, with real phones: they refresh it, and it goes on (RFC 4028).

The phones ask for at least 90 s, so this takes two minutes; `make soak` runs it.
"""

import time
from pathlib import Path

import pytest

from tests.support.subscribers import Subscribers
from tests.support.system import running_system

SESSION_S = 90
TALK_S = 110


@pytest.mark.timeout(240)
def test_a_call_outlives_its_session_timer(tmp_path: Path) -> None:
    with running_system(
        tmp_path / "var", TOLLBELL_SIP_SESSION_S=str(SESSION_S), TOLLBELL_SAMPLE_DATA="no"
    ) as system:
        subscribers = Subscribers(system)
        alice, bob = subscribers.make(), subscribers.make()
        with alice.phone(directory=tmp_path) as caller, bob.phone(directory=tmp_path) as callee:
            caller.register()
            callee.register()
            caller.call(bob.number)
            callee.wait_for_ring()
            callee.answer()
            caller.wait_until_talking()
            answered = time.monotonic()
            time.sleep(TALK_S)
            caller.send_tone(440)
            callee.hear_frequency(440)
            lasted_s = time.monotonic() - answered
            caller.hang_up()
            callee.wait_for_end()
        [call] = alice.call_records(1)

    said = caller.log_path.read_text(errors="replace") + callee.log_path.read_text(errors="replace")
    assert f"Session-Expires: {SESSION_S}" in said
    assert call["ended_by"] == "caller"
    assert call["duration_us"] / 1e6 == pytest.approx(lasted_s, abs=1.0)
