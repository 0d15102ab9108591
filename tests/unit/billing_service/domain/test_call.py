from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain import call as module
from billing_service.domain.call import Call, EndedBy, Outcome, contradictions
from tests.support.examples import examples

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

ANSWERED = Call(
    record_id="1",
    call_id="a@b",
    caller="0001",
    callee="0002",
    emergency=False,
    invited_at=NOON,
    ringing_at=NOON + timedelta(seconds=1),
    answered_at=NOON + timedelta(seconds=5),
    acknowledged_at=NOON + timedelta(seconds=5),
    ended_at=NOON + timedelta(seconds=65),
    duration_us=60_000_000,
    outcome=Outcome.ANSWERED,
    status=200,
    reason="OK",
    ended_by=EndedBy.CALLER,
)
MISSED = replace(
    ANSWERED, answered_at=None, acknowledged_at=None, duration_us=0, outcome=Outcome.NO_ANSWER, status=480
)


def wrong_fields(call: Call) -> list[str]:
    return [problem.field for problem in contradictions(call, received_at=call.ended_at)]


def test_sound_records_are_not_contradicted() -> None:
    assert wrong_fields(ANSWERED) == []
    assert wrong_fields(MISSED) == []


def test_a_call_in_another_time_zone_is_the_same_call() -> None:
    assert wrong_fields(replace(ANSWERED, invited_at=NOON.astimezone(timezone(timedelta(hours=9))))) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ended_at": NOON - MINUTE}, "ended_at"),
        ({"answered_at": NOON - MINUTE}, "answered_at"),
        ({"ringing_at": NOON - MINUTE}, "ringing_at"),
        ({"answered_at": None}, "answered_at"),
        ({"duration_us": -1}, "duration_us"),
        ({"duration_us": 3 * 86_400 * 1_000_000}, "duration_us"),
        ({"invited_at": datetime(1970, 1, 1, tzinfo=UTC)}, "invited_at"),
        ({"ended_at": datetime(9999, 12, 31, tzinfo=UTC)}, "ended_at"),
    ],
)
def test_contradictions_of_an_answered_call_are_named(changes: dict[str, object], field: str) -> None:
    assert field in wrong_fields(replace(ANSWERED, **changes))  # type: ignore[arg-type]


def test_an_attempt_that_was_not_answered_has_no_answer_and_no_duration() -> None:
    assert wrong_fields(replace(MISSED, answered_at=NOON + MINUTE / 2, duration_us=5)) == [
        "answered_at",
        "duration_us",
    ]


def test_the_words_name_what_is_before_what() -> None:
    problem = contradictions(replace(ANSWERED, ended_at=NOON), received_at=NOON)[0]
    assert problem.message == "ended_at is before answered_at"


def test_a_clock_that_was_slewed_during_the_call_is_no_contradiction() -> None:
    assert wrong_fields(replace(ANSWERED, ringing_at=NOON - timedelta(seconds=0.5))) == []


def test_a_clock_that_was_set_during_the_call_leaves_the_duration_as_measured() -> None:
    assert wrong_fields(replace(ANSWERED, ended_at=NOON + timedelta(hours=2))) == []


def test_only_an_answered_call_that_is_no_emergency_is_charged() -> None:
    assert ANSWERED.is_chargeable
    assert not replace(ANSWERED, emergency=True).is_chargeable
    assert not MISSED.is_chargeable


def test_a_clock_of_the_exchange_that_is_a_day_ahead_is_doubted() -> None:
    day = timedelta(hours=24)
    received_at = ANSWERED.ended_at - day
    assert contradictions(ANSWERED, received_at=received_at) == []
    problems = contradictions(ANSWERED, received_at=received_at - timedelta(microseconds=1))
    assert [problem.field for problem in problems] == ["ended_at"]
    assert "look at the clock of the exchange" in problems[0].message


@given(
    st.lists(st.integers(-3, 3), min_size=5, max_size=5),
    st.sampled_from([timedelta(), timedelta(seconds=1), timedelta(hours=12), timedelta(days=40_000)]),
    st.sampled_from([None, "ringing_at", "answered_at", "acknowledged_at"]),
    st.integers(-1, 3),
    st.sampled_from(Outcome),
    st.integers(-3, 3),
)
@settings(max_examples=examples(200))
def test_the_quick_look_at_a_call_passes_only_what_the_long_one_finds_sound(
    steps: list[int], unit: timedelta, left_out: str | None, duration: int, outcome: Outcome, received: int
) -> None:
    names = ("invited_at", "ringing_at", "answered_at", "acknowledged_at", "ended_at")
    instants = {name: NOON + step * unit for name, step in zip(names, steps, strict=True)}
    if left_out is not None:
        instants.pop(left_out)
    drawn = replace(
        ANSWERED,
        **{**dict.fromkeys(names[1:4]), **instants},  # type: ignore[arg-type]
        duration_us=duration * (unit // timedelta(microseconds=1)),
        outcome=outcome,
    )
    received_at = NOON + received * unit
    found = contradictions(drawn, received_at=received_at)
    with patch.object(module, "_is_plain", lambda call, received_at: False):
        assert found == contradictions(drawn, received_at=received_at)
