"""Roles: each may what the one below it may, and none what only programs do."""

from billing_service.domain.permissions import ALL_SCOPES, Role, Scope, scopes_of


def test_each_role_may_all_that_the_one_below_it_may() -> None:
    viewer, operator, administrator = (scopes_of(role) for role in Role)
    assert viewer < operator < administrator < ALL_SCOPES


def test_a_viewer_changes_nothing_but_his_password() -> None:
    others = {scope for scope in scopes_of(Role.VIEWER) if not scope.endswith(":read")}
    assert others == {Scope.OWN_PASSWORD}


def test_only_an_administrator_sees_to_plans_bills_settings_and_who_may_what() -> None:
    for scope in (
        Scope.PLANS_WRITE,
        Scope.BILLS_WRITE,
        Scope.SETTINGS_WRITE,
        Scope.WEBHOOKS_WRITE,
        Scope.ADMINISTRATORS_READ,
        Scope.ADMINISTRATORS_WRITE,
    ):
        assert [scope in scopes_of(role) for role in Role] == [False, False, True]


def test_no_person_is_an_exchange_or_asks_for_passwords() -> None:
    for role in Role:
        assert not scopes_of(role) & {Scope.EXCHANGE, Scope.SIGN_IN}
