"""What is checked on a call, in which order, and what the caller and the record are told."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.directory import AccountState, ExchangeSettings, FilterAction, FilterRule
from sip_proxy.core.outputs import CallRecorded, SecurityEventKind
from sip_proxy.core.routing.calling_rules import Load, judge_call
from tests.support.sip_phones import DOMAIN, Exchange, account, make_directory

DENY_ALL = (FilterRule("*", FilterAction.DENY),)
IDLE = Load(
    is_online=True, journal_available=True, live_calls=0, live_calls_of_caller=0, live_calls_of_callee=0
)

# Everything is wrong with this call; each step puts the first thing right that is complained about.
STEPS: list[tuple[int, str]] = [
    (503, "The exchange is offline"),
    (503, "The exchange can't account for calls now"),
    (503, "The exchange is full"),
    (403, "Your account is suspended"),
    (403, "Your account may not call this number"),
    (403, "Your account has too many calls already"),
    (404, "There is no such number"),
    (480, "This number is out of service"),
    (486, "Busy Here"),
    (486, "Busy Here"),
    (486, "This number has as many calls as it may"),
]


def call_with(fixed: int) -> tuple[int, str] | None:
    """Judge the call with the first `fixed` troubles put right."""

    def bad(step: int) -> bool:
        return step >= fixed

    caller = account(
        "0001",
        state=AccountState.SUSPENDED if bad(3) else AccountState.ACTIVE,
        outgoing_filter=DENY_ALL if bad(4) else (),
        call_limit=1 if bad(5) else None,
    )
    callee = account(
        "0002",
        state=AccountState.OUT_OF_SERVICE if bad(7) else AccountState.ACTIVE,
        block_list=frozenset({"0001"}) if bad(8) else frozenset(),
        incoming_filter=DENY_ALL if bad(9) else (),
        call_limit=2 if bad(10) else None,
    )
    accounts = [caller] if bad(6) else [caller, callee]
    directory = make_directory(
        *accounts, settings=ExchangeSettings(concurrent_call_limit=5 if bad(2) else None)
    )
    load = Load(
        is_online=not bad(0),
        journal_available=not bad(1),
        live_calls=5,
        live_calls_of_caller=1,
        live_calls_of_callee=2,
    )
    rejection = judge_call(directory, caller=caller, callee_number="0002", load=load)
    return None if rejection is None else (rejection.status, rejection.text)


@pytest.mark.parametrize("fixed", range(len(STEPS)))
def test_the_checks_come_in_the_order_of_the_calling_rules(fixed: int) -> None:
    assert call_with(fixed) == STEPS[fixed]


def test_a_call_with_nothing_wrong_passes() -> None:
    assert call_with(len(STEPS)) is None


@pytest.mark.parametrize("state", list(AccountState))
def test_emergency_numbers_skip_every_check(state: AccountState) -> None:
    caller = account("0001", state=state, outgoing_filter=DENY_ALL, call_limit=0)
    directory = make_directory(caller, settings=ExchangeSettings(concurrent_call_limit=0))
    load = Load(
        is_online=False, journal_available=False, live_calls=9, live_calls_of_caller=9, live_calls_of_callee=9
    )
    assert judge_call(directory, caller=caller, callee_number="9911", load=load) is None


def test_a_phone_that_hides_its_number_reaches_help_and_is_known_there_and_nowhere_else() -> None:
    """An anonymous From (RFC 3323 §4.1.1.3) is nobody's own number, which must not keep anybody from help."""
    exchange = Exchange(make_directory(account("0001"), account("0002"), account("9911")))
    caller, _, desk = exchange.phone("0001"), exchange.phone("0002"), exchange.phone("9911")
    hidden = "sip:anonymous@anonymous.invalid"
    assert caller.invite("0002", from_uri=hidden).statuses == [403]
    attempt = caller.invite("9911", from_uri=hidden, headers=("Privacy: id",))
    invite = desk.request("INVITE")
    assert invite.values("p-asserted-identity") == [f'"Phone 0001" <sip:0001@{DOMAIN}>']
    desk.answer(invite, 486)
    assert attempt.statuses == [486]
    assert [record.caller for record in exchange.records] == ["0001", "0001"]
    assert caller.invite("9911", from_uri=f"sip:0002@{DOMAIN}").statuses == [403]


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.CLOSED, AccountState.OUT_OF_SERVICE])
def test_a_callee_that_is_not_active_is_out_of_service(state: AccountState) -> None:
    caller = account("0001")
    directory = make_directory(caller, account("0002", state=state))
    rejection = judge_call(directory, caller=caller, callee_number="0002", load=IDLE)
    assert rejection is not None
    assert rejection.status == 480


def refused(exchange: Exchange, callee: str = "0002", **changes: str) -> tuple[int, str]:
    """Call, and return the status and reason phrase of the refusal."""
    caller = exchange.phones_of("0001")[0]
    attempt = caller.invite(callee, **changes)  # type: ignore[arg-type]
    response = attempt.last_response
    assert response is not None
    return response.status, response.reason


def test_an_invite_is_challenged_first_and_leaves_no_record_of_that() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002")
    attempt = caller.invite("0002", password="wrong")
    assert attempt.statuses == [407]
    assert exchange.records == []
    assert exchange.engine.live_calls() == []
    assert [event.kind for event in exchange.security_events] == [SecurityEventKind.WRONG_PASSWORD]


def test_a_refusal_is_explained_to_people_and_gateways_and_recorded() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    attempt = caller.invite("7777")
    response = attempt.last_response
    assert response is not None
    assert (response.status, response.reason) == (404, "There is no such number")
    assert response.first("warning") == f'399 {DOMAIN} "There is no such number"'
    assert response.first("reason") == 'Q.850;cause=1;text="There is no such number"'
    record = exchange.the_record
    assert (record.caller, record.callee) == ("0001", "7777")
    assert (record.outcome, record.status, record.reason) == (
        Outcome.REJECTED,
        404,
        "There is no such number",
    )
    assert record.ended_by is EndedBy.EXCHANGE
    assert record.duration_us == 0
    assert exchange.engine.live_calls() == []


def test_a_retransmitted_invite_that_was_refused_makes_no_second_record() -> None:
    exchange = Exchange()
    attempt = exchange.phone("0001").invite("7777")
    for _ in range(3):
        attempt.send_again()
    exchange.advance(60)
    assert len(exchange.records) == 1
    assert set(attempt.statuses) == {404}


def test_a_number_without_a_phone_is_unavailable() -> None:
    exchange = Exchange()
    exchange.phone("0001")
    assert refused(exchange) == (480, "No phone is registered for this number")
    assert exchange.the_record.outcome is Outcome.REJECTED


def test_a_forged_from_is_forbidden_reported_and_recorded_under_the_true_number() -> None:
    exchange = Exchange()
    exchange.phone("0001")
    exchange.phone("0002")
    status, _ = refused(exchange, from_uri=f"sip:0003@{DOMAIN}")
    assert status == 403
    assert [event.kind for event in exchange.security_events] == [SecurityEventKind.FORBIDDEN_IDENTITY]
    assert exchange.the_record.caller == "0001"


def test_a_from_with_the_phones_own_address_is_accepted() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    callee = exchange.phone("0002")
    caller.invite("0002", from_uri=f"sip:0001@{caller.address[0]}")
    assert callee.requests("INVITE")


def test_another_domain_is_never_relayed_to() -> None:
    exchange = Exchange()
    exchange.phone("0001")
    for uri in ("sip:0002@example.com", "sip:0002@203.0.113.9:5060", "sips:bob@example.org"):
        assert refused(exchange, uri=uri)[0] == 403
    assert exchange.undelivered == []
    assert {event.kind for event in exchange.security_events} == {SecurityEventKind.FOREIGN_DOMAIN}


def test_a_route_to_elsewhere_is_never_followed() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002")
    attempt = caller.invite("0002", headers=("Route: <sip:203.0.113.9;lr>",))
    assert attempt.statuses == [403]
    assert exchange.undelivered == []


def test_a_preloaded_route_to_the_exchange_is_fine_and_is_removed() -> None:
    """§16.4: outbound-proxy settings of phones."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    callee = exchange.phone("0002")
    caller.invite("0002", headers=("Route: <sip:192.0.2.1:5060;lr>",))
    assert "route" not in callee.request("INVITE").keys


def test_the_exchange_is_full_at_its_limit_and_free_again_after_a_call() -> None:
    exchange = Exchange(make_directory(settings=ExchangeSettings(concurrent_call_limit=1)))
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    first = caller.invite("0002")
    assert refused(exchange) == (503, "The exchange is full")
    callee.answer(callee.request("INVITE"), 486)
    assert first.statuses[-1] == 486
    assert caller.invite("0002").is_on_its_way


def test_an_account_has_only_as_many_calls_as_it_may() -> None:
    exchange = Exchange(make_directory(account("0001", call_limit=1), account("0002")))
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    caller.invite("0002")
    assert refused(exchange)[0] == 403
    callee.answer(callee.request("INVITE"), 486)
    assert caller.invite("0002").is_on_its_way


def test_the_limit_of_an_account_counts_its_calls_in_both_directions() -> None:
    exchange = Exchange(make_directory(account("0001", call_limit=1), account("0002"), account("0003")))
    one, two, three = (exchange.phone(number) for number in ("0001", "0002", "0003"))
    first = two.invite("0001")
    one.answer(one.request("INVITE"), 200)
    first.ack()
    assert one.invite("0003").statuses == [403]
    assert three.invite("0001").statuses == [486]
    assert three.requests("INVITE") == []
    first.bye()
    assert three.invite("0001").is_on_its_way


def test_emergency_calls_are_not_limited_and_limit_nobody() -> None:
    exchange = Exchange(
        make_directory(
            account("0001", call_limit=1),
            account("0002"),
            account("9911", call_limit=1),
            settings=ExchangeSettings(concurrent_call_limit=1),
        )
    )
    caller, desk = exchange.phone("0001"), exchange.phone("9911")
    exchange.phone("0002")
    assert all(caller.invite("9911").is_on_its_way for _ in range(3))
    assert len(desk.requests("INVITE")) == 3
    assert caller.invite("0002").is_on_its_way
    assert caller.invite("9911").is_on_its_way


def test_a_number_that_calls_itself_has_one_call() -> None:
    exchange = Exchange(make_directory(account("0001", call_limit=2), account("0002")))
    one = exchange.phone("0001")
    exchange.phone("0002")
    own = one.invite("0001")
    assert exchange.engine._calls.counts.of("0001") == 1
    one.answer(one.request("INVITE"), 486)
    assert own.statuses[-1] == 486
    assert exchange.engine._calls.counts._by_number == {}


def test_a_call_that_is_answered_while_there_is_no_journal_is_refused_and_costs_nothing() -> None:
    """Its answer could not be passed on, so the caller would pay for a call that it never heard."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    callee.answer(invite, 180)
    exchange.engine.journal_available = False
    callee.answer(invite, 200)
    callee.answer(callee.request("BYE"), 200)
    callee.answer(invite, 200)
    assert attempt.statuses == [180, 503]
    assert (len(callee.requests("ACK")), len(callee.requests("BYE"))) == (2, 1)
    record = exchange.the_record
    assert (record.outcome, record.status, record.duration_us) == (Outcome.FAILED, 503, 0)
    assert record.answered_at is None
    exchange.advance(60)
    assert len(exchange.records) == 1


def test_without_a_journal_new_calls_are_refused_but_emergency_calls_pass_unheld() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002")
    desk = exchange.phone("9911")
    exchange.engine.journal_available = False
    exchange.outputs.clear()
    assert refused(exchange)[0] == 503
    attempt = caller.invite("9911")
    desk.answer(desk.request("INVITE"), 200)
    attempt.ack()
    attempt.bye()
    desk.answer(desk.request("BYE"), 200)
    assert attempt.statuses == [200]
    assert not any(send.after_journal for send in exchange.sends_to(caller))
    emergency = exchange.records[-1]
    assert emergency.emergency
    assert emergency.outcome is Outcome.ANSWERED


def test_an_offline_exchange_keeps_its_calls_but_takes_no_new_ones() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    exchange.engine.go_offline(None, exchange.now)
    assert not exchange.engine.online
    assert refused(exchange) == (503, "The exchange is offline")
    callee.answer(callee.requests("INVITE")[0], 200)
    assert attempt.statuses == [200]


def test_records_are_handed_out_before_the_caller_hears_of_the_refusal() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    caller.invite("7777")
    kinds = [type(output).__name__ for output in exchange.outputs]
    assert kinds.index(CallRecorded.__name__) < len(kinds) - 1 - kinds[::-1].index("Send")
