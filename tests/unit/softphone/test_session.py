"""A phone and its engine: commands and events between them, and what happens when an engine dies."""

from __future__ import annotations

import pytest

from softphone.engine import commands, events
from softphone.phone.states import PhoneState, Service
from softphone.session import PhoneSession
from tests.unit.softphone.fake_engine import SETTINGS, Factory, FakeEngine

DEATH = events.EngineFailed(exit_code=-6, reason="SIGABRT")


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def session(factory: Factory) -> PhoneSession:
    return PhoneSession(SETTINGS, start_engine=factory, now=0.0)


def tell(session: PhoneSession, engine: FakeEngine, event: events.Event, now: float) -> None:
    engine.events.append(event)
    session.handle_readable(now)


def test_an_engine_is_started_and_told_who_it_is(session: PhoneSession, factory: Factory) -> None:
    (engine,) = factory.made

    assert engine.taken == [SETTINGS.start_up(), SETTINGS.register()]
    assert session.fileno() == engine.descriptor


def test_commands_reach_the_engine_and_events_the_phone(session: PhoneSession, factory: Factory) -> None:
    (engine,) = factory.made
    tell(
        session,
        engine,
        events.IncomingCall(call="in-1", number="0002", display_name="", uri="sip:0002@x"),
        1.0,
    )
    assert session.phone.state is PhoneState.RINGING_IN

    session.phone.lift_handset(2.0)
    session.flush()

    assert engine.taken[-1] == commands.Answer(call="in-1")


def test_the_phones_timer_is_driven(session: PhoneSession, factory: Factory) -> None:
    session.phone.lift_handset(0.0)
    for key in "0002":
        session.phone.press_key(key, 0.0)
    deadline = session.next_deadline()
    assert deadline is not None

    session.handle_timer(deadline)

    assert factory.made[0].taken[-1] == commands.PlaceCall(call="out-1", target="0002")


def test_a_dead_engine_is_replaced_after_a_moment(session: PhoneSession, factory: Factory) -> None:
    generation = session.generation
    tell(session, factory.made[0], DEATH, 10.0)
    assert session.fileno() is None
    assert session.generation == generation + 1
    assert session.phone.service is Service.ENGINE_LOST

    assert session.next_deadline() == 10.5
    session.handle_timer(10.4)
    assert len(factory.made) == 1
    session.handle_timer(10.5)

    assert factory.made[1].taken == [SETTINGS.start_up(), SETTINGS.register()]
    assert session.fileno() == factory.made[1].descriptor


def test_an_engine_that_keeps_dying_is_replaced_less_and_less_often(
    session: PhoneSession, factory: Factory
) -> None:
    now = 0.0
    pauses = []
    for _ in range(9):
        tell(session, factory.made[-1], DEATH, now)
        deadline = session.next_deadline()
        assert deadline is not None
        pauses.append(deadline - now)
        now = deadline
        session.handle_timer(now)

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_an_engine_that_registered_counts_as_healthy(session: PhoneSession, factory: Factory) -> None:
    for _ in range(3):
        tell(session, factory.made[-1], DEATH, 0.0)
        session.handle_timer(100.0)
    tell(session, factory.made[-1], events.Registered(number="0001", expires_s=120), 100.0)

    tell(session, factory.made[-1], DEATH, 200.0)

    assert session.next_deadline() == 200.5


def test_an_engine_that_cannot_be_started_is_tried_again(factory: Factory) -> None:
    factory.fails = True
    session = PhoneSession(SETTINGS, start_engine=factory, now=0.0)
    assert session.fileno() is None
    assert session.phone.service is Service.ENGINE_LOST

    factory.fails = False
    session.handle_timer(0.5)

    assert len(factory.made) == 1


def test_pressing_keys_without_an_engine_is_harmless(session: PhoneSession, factory: Factory) -> None:
    tell(session, factory.made[0], DEATH, 0.0)

    session.phone.lift_handset(0.1)
    session.flush()
    session.handle_readable(0.2)

    assert session.phone.state is PhoneState.FAILED


def test_an_engine_that_dies_unnoticed_does_not_break_the_phone(
    session: PhoneSession, factory: Factory
) -> None:
    factory.made[0].is_dead = True

    session.phone.lift_handset(0.0)
    session.flush()

    tell(session, factory.made[0], DEATH, 0.1)
    assert session.phone.service is Service.ENGINE_LOST


def test_what_was_meant_for_a_dead_engine_is_not_done_by_the_next(
    session: PhoneSession, factory: Factory
) -> None:
    session.phone.press_key("7", 0.0)
    session.phone.lift_handset(0.0)
    tell(session, factory.made[0], DEATH, 0.0)

    session.handle_timer(0.5)

    assert not any(isinstance(command, commands.PlaceCall) for command in factory.made[1].taken)


def test_closing_ends_the_engine_and_no_other_is_started(session: PhoneSession, factory: Factory) -> None:
    session.close()
    session.handle_timer(1000.0)

    assert factory.made[0].was_shut_down
    assert len(factory.made) == 1
    assert session.fileno() is None
