"""Testing phones by OPTIONS, taking the silent out of service, and resetting phones by NOTIFY."""

from dataclasses import replace
from itertools import pairwise

import pytest

from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import PhoneTested
from tests.support.sip_phones import WALL_OFFSET, Exchange, Phone


def results(exchange: Exchange) -> list[PhoneTested]:
    return [output for output in exchange.outputs if isinstance(output, PhoneTested)]


def run_test(exchange: Exchange, number: str = "0002") -> bool:
    has_phone = exchange.engine.test_phone(number, exchange.now)
    exchange.deliver()
    return has_phone


def fail(exchange: Exchange, times: int) -> None:
    """The phone doesn't answer so many tests."""
    for _ in range(times):
        run_test(exchange)
        exchange.advance(33)


def is_in_service(exchange: Exchange, number: str = "0002") -> bool:
    return all(each.in_service for each in exchange.engine.registrations() if each.number == number)


def test_a_phone_that_answers_is_tested_with_its_round_trip_time() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    assert run_test(exchange)
    options = phone.request("OPTIONS")
    assert options.uri == phone.contact
    assert options.to_tag == ""
    assert options.first("to") == "<sip:0002@tollbell.local>"
    exchange.advance(0.25)
    phone.answer(options, 200)
    (result,) = results(exchange)
    assert result == PhoneTested(
        number="0002",
        contact=phone.contact,
        ok=True,
        status=200,
        round_trip_s=pytest.approx(0.25),
        at=exchange.now + WALL_OFFSET,
        in_service=True,
    )
    assert exchange.engine.phone_tests(exchange.now) == [result]
    phone.answer(options, 200)
    assert len(results(exchange)) == 1


@pytest.mark.parametrize("status", [200, 404, 405, 486, 503])
def test_any_answer_of_the_phone_itself_will_do(status: int) -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    run_test(exchange)
    phone.answer(phone.request("OPTIONS"), status)
    (result,) = results(exchange)
    assert (result.ok, result.status) == (True, status)


def test_a_phone_that_does_not_answer_has_failed_after_64_t1() -> None:
    exchange = Exchange()
    exchange.phone("0002")
    run_test(exchange)
    exchange.advance(31.9)
    assert results(exchange) == []
    exchange.advance(0.2)
    (result,) = results(exchange)
    assert (result.ok, result.status, result.round_trip_s, result.in_service) == (False, 408, None, True)


def test_a_phone_that_cannot_be_reached_has_failed_at_once() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002", transport=Transport.TCP)
    exchange.engine.flow_closed(phone.flow, exchange.now)
    run_test(exchange)
    exchange.unable_to_send(phone)
    assert [(result.ok, result.status) for result in results(exchange)] == [(False, 503)]


def test_every_phone_of_a_number_is_tested_and_a_number_without_one_is_not() -> None:
    exchange = Exchange()
    first, second = exchange.phone("0002"), exchange.phone("0002")
    assert run_test(exchange)
    assert first.requests("OPTIONS")
    assert second.requests("OPTIONS")
    assert not run_test(exchange, "0004")


def test_after_failures_in_a_row_a_phone_is_out_of_service() -> None:
    exchange = Exchange()
    caller, phone = exchange.phone("0001"), exchange.phone("0002")
    fail(exchange, 2)
    assert is_in_service(exchange)
    assert caller.invite("0002").is_on_its_way
    fail(exchange, 1)
    assert not is_in_service(exchange)
    assert not results(exchange)[-1].in_service
    phone.inbox.clear()
    attempt = caller.invite("0002")
    assert attempt.statuses == [480]
    response = attempt.last_response
    assert response is not None
    assert response.reason == "The phone of this number does not answer"
    assert phone.requests("INVITE") == []


def test_an_answer_in_between_begins_the_count_anew() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    fail(exchange, 2)
    run_test(exchange)
    phone.answer(phone.request("OPTIONS"), 200)
    fail(exchange, 2)
    assert is_in_service(exchange)


def test_the_other_phone_of_a_number_rings_on() -> None:
    exchange = Exchange()
    caller, dead, alive = exchange.phone("0001"), exchange.phone("0002"), exchange.phone("0002")
    for _ in range(3):
        run_test(exchange)
        alive.answer(alive.request("OPTIONS"), 200)
        exchange.advance(33)
    assert caller.invite("0002").is_on_its_way
    assert alive.requests("INVITE")
    assert dead.requests("INVITE") == []


def test_a_phone_out_of_service_is_asked_again_and_comes_back_by_itself() -> None:
    exchange = Exchange()
    caller, phone = exchange.phone("0001"), exchange.phone("0002")
    fail(exchange, 3)
    phone.inbox.clear()
    exchange.advance(70)
    phone.answer(phone.request("OPTIONS"), 200)
    assert is_in_service(exchange)
    assert caller.invite("0002").is_on_its_way
    exchange.outputs.clear()
    exchange.advance(300)
    assert results(exchange) == []  # nobody is left to be asked again


def test_a_phone_that_registers_again_is_asked_at_once() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    fail(exchange, 3)
    phone.inbox.clear()
    phone.register()
    phone.answer(phone.request("OPTIONS"), 200)
    assert is_in_service(exchange)


def test_an_emergency_number_is_rung_whatever_the_tests_say() -> None:
    exchange = Exchange()
    caller, desk = exchange.phone("0001"), exchange.phone("9911")
    for _ in range(3):
        run_test(exchange, "9911")
        exchange.advance(33)
    assert not is_in_service(exchange, "9911")
    assert caller.invite("9911").is_on_its_way
    assert desk.requests("INVITE")


def set_interval(exchange: Exchange, interval_s: int) -> None:
    """An administrator changes the setting."""
    directory = exchange.engine.directory
    directory.settings = replace(directory.settings, phone_test_interval_s=interval_s)
    exchange.engine.directory_changed(exchange.now)


def test_other_changes_of_the_directory_do_not_begin_the_schedule_anew() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    set_interval(exchange, 10)
    for _ in range(30):
        exchange.advance(1)
        exchange.engine.directory_changed(exchange.now)
    assert len(phone.requests("OPTIONS")) >= 3


def test_on_a_schedule_every_phone_is_tested_once_in_the_interval_not_all_at_once() -> None:
    exchange = Exchange()
    phones = [exchange.phone(number) for number in ("0001", "0002", "0003", "0004")]
    set_interval(exchange, 40)

    def live(seconds: int) -> list[int]:
        counts = []
        for _ in range(seconds):
            exchange.advance(1)
            for phone in phones:
                for request in phone.requests("OPTIONS"):
                    phone.inbox.remove(request)
                    phone.answer(request, 200)
            counts.append(len(results(exchange)))
        return counts

    assert live(39)[-1] == 4
    assert [each.number for each in results(exchange)] == ["0001", "0002", "0003", "0004"]
    exchange.outputs.clear()
    counts = live(40)
    assert max(after - before for before, after in pairwise(counts)) == 1
    set_interval(exchange, 0)
    exchange.outputs.clear()
    assert live(100)[-1] == 0


def test_phones_that_are_gone_are_forgotten() -> None:
    exchange = Exchange()
    phone: Phone = exchange.phone("0002", headers=("Expires: 100",))
    fail(exchange, 3)
    assert len(exchange.engine.phone_tests(exchange.now)) == 1
    exchange.advance(200)
    assert exchange.engine.phone_tests(exchange.now) == []
    assert exchange.engine.next_deadline() is None
    phone.register()
    assert is_in_service(exchange)


def test_a_phone_that_is_gone_has_no_result_with_no_schedule_either() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    run_test(exchange)
    phone.answer(phone.request("OPTIONS"), 200)
    assert len(exchange.engine.phone_tests(exchange.now)) == 1
    phone.register(contacts=("*",), headers=("Expires: 0",))
    assert exchange.engine.phone_tests(exchange.now) == []


def test_a_phone_is_reset_by_notify_check_sync() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002")
    assert exchange.engine.reset_phone("0002", exchange.now)
    exchange.deliver()
    notify = phone.request("NOTIFY")
    assert notify.uri == phone.contact
    assert notify.first("event") == "check-sync;reboot=true"
    assert notify.first("subscription-state") == "terminated"
    assert notify.values("contact") == ["<sip:192.0.2.1:5060>"]
    phone.answer(notify, 200)
    assert not exchange.engine.reset_phone("0004", exchange.now)


def test_tests_and_resets_reach_phones_behind_nat() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002", private="10.0.0.5:5060")
    run_test(exchange)
    assert phone.request("OPTIONS").uri == "sip:0002@10.0.0.5:5060"
