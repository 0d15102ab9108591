import pytest

from billing_service.domain.dunning import AccountState, may_reactivate, must_suspend
from billing_service.domain.ledger import (
    AvailableMoney,
    Refunded,
    RefundTooLarge,
    Settlement,
    UnpaidBill,
    refund,
    release,
    settle,
)
from billing_service.domain.money import Money

OLD, NEW = UnpaidBill(1, Money(100)), UnpaidBill(2, Money(50))


def test_the_oldest_bill_is_paid_first() -> None:
    assert settle([OLD, NEW], [AvailableMoney(7, Money(120))]) == [
        Settlement(1, 7, Money(100)),
        Settlement(2, 7, Money(20)),
    ]


def test_a_payment_that_names_a_bill_pays_that_one_first_and_then_the_oldest() -> None:
    assert settle([OLD, NEW], [AvailableMoney(7, Money(120), for_bill_id=2)]) == [
        Settlement(2, 7, Money(50)),
        Settlement(1, 7, Money(70)),
    ]


def test_what_is_left_over_is_in_no_settlement() -> None:
    assert settle([NEW], [AvailableMoney(7, Money(80))]) == [Settlement(2, 7, Money(50))]


def test_the_oldest_money_is_used_first() -> None:
    assert settle([OLD], [AvailableMoney(7, Money(30)), AvailableMoney(8, Money(100))]) == [
        Settlement(1, 7, Money(30)),
        Settlement(1, 8, Money(70)),
    ]


def test_a_bill_named_that_is_no_longer_due_names_nothing() -> None:
    assert settle([NEW], [AvailableMoney(7, Money(10), for_bill_id=1)]) == [Settlement(2, 7, Money(10))]


def test_without_money_or_bills_nothing_is_settled() -> None:
    assert settle([OLD], []) == []
    assert settle([], [AvailableMoney(7, Money(10))]) == []


@pytest.mark.parametrize(("unpaid", "suspended"), [(2, False), (3, True), (4, True)])
def test_reaching_the_limit_suspends(unpaid: int, suspended: bool) -> None:
    assert must_suspend(AccountState.ACTIVE, unpaid_bills=unpaid, limit=3) is suspended


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.CLOSED, AccountState.OUT_OF_SERVICE])
def test_only_an_active_account_is_suspended(state: AccountState) -> None:
    assert not must_suspend(state, unpaid_bills=9, limit=3)


def test_a_bill_paid_in_full_reactivates_below_the_limit() -> None:
    state = AccountState.SUSPENDED
    assert may_reactivate(state, reason="unpaid_bills", paid_in_full=1, unpaid_bills=2, limit=3)
    assert not may_reactivate(state, reason="unpaid_bills", paid_in_full=1, unpaid_bills=3, limit=3)
    assert not may_reactivate(state, reason="unpaid_bills", paid_in_full=0, unpaid_bills=2, limit=3)


def test_a_payment_does_not_undo_what_an_administrator_did() -> None:
    assert not may_reactivate(
        AccountState.SUSPENDED, reason="on the customer's wish", paid_in_full=1, unpaid_bills=0, limit=3
    )
    assert not may_reactivate(
        AccountState.CLOSED, reason="unpaid_bills", paid_in_full=1, unpaid_bills=0, limit=3
    )


def test_what_was_paid_last_is_released_first() -> None:
    paid = [(7, Money(60)), (8, Money(40))]
    assert release(1, paid, excess=Money(50)) == [Settlement(1, 8, Money(-40)), Settlement(1, 7, Money(-10))]
    assert release(1, paid, excess=Money(0)) == []


def test_a_refund_takes_the_oldest_money_first() -> None:
    money = [AvailableMoney(7, Money(30)), AvailableMoney(8, Money(30))]
    assert refund(money, Money(40)) == [Refunded(7, Money(30)), Refunded(8, Money(10))]


def test_a_credit_is_never_paid_out() -> None:
    money = [AvailableMoney(7, Money(30), paid_in=False), AvailableMoney(8, Money(30))]
    assert refund(money, Money(30)) == [Refunded(8, Money(30))]
    with pytest.raises(RefundTooLarge) as refusal:
        refund(money, Money(31))
    assert refusal.value.available == Money(30)


def test_a_refund_is_never_more_than_is_there() -> None:
    with pytest.raises(RefundTooLarge) as refusal:
        refund([AvailableMoney(7, Money(30))], Money(31))
    assert refusal.value.available == Money(30)
