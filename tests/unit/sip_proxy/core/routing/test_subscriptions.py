"""Subscriptions between phones (RFC 6665): relayed both ways, without state, and for nobody else."""

import pytest

from tests.support.sip_phones import DOMAIN, Attempt, Exchange, Phone, callee_request


class Subscription:
    """0001 has subscribed to something of 0002."""

    def __init__(self, *, private: str = "") -> None:
        self.exchange = Exchange()
        self.subscriber: Phone = self.exchange.phone("0001", private=private)
        self.notifier: Phone = self.exchange.phone("0002")
        self.attempt: Attempt = self.subscriber.invite(
            "0002", method="SUBSCRIBE", headers=("Event: presence", "Expires: 600"), body=b""
        )
        self.subscribe = self.notifier.request("SUBSCRIBE")
        self.notifier.answer(self.subscribe, 200, headers=("Expires: 600",))

    def notify(
        self, *, sender: Phone | None = None, password: str = "", cseq: int = 1, **edits: str
    ) -> Phone:
        """The notifier, or whoever, sends a NOTIFY and answers the challenge."""
        phone = sender or self.notifier
        data = callee_request(self.notifier, self.subscribe, "NOTIFY", cseq=cseq)
        for old, new in edits.items():
            data = data.replace(old.encode(), new.encode())
        phone.send(data)
        challenged = phone.responses("NOTIFY")[-1]
        if challenged.status == 407:
            uri = data.split(b" ")[1].decode()
            line = phone.credentials(challenged, "NOTIFY", uri, password=password).encode()
            again = callee_request(self.notifier, self.subscribe, "NOTIFY", cseq=cseq + 1)
            for old, new in edits.items():
                again = again.replace(old.encode(), new.encode())
            phone.send(again.replace(b"Content-Length", line + b"\r\nContent-Length"))
        return phone


def test_the_exchange_stays_on_the_path_of_a_subscription() -> None:
    subscription = Subscription()
    assert subscription.subscribe.values("record-route") == ["<sip:192.0.2.1:5060;lr>"]
    assert subscription.attempt.statuses == [200]


def test_a_notify_is_authenticated_and_reaches_the_subscriber() -> None:
    subscription = Subscription()
    notifier = subscription.notify()
    notify = subscription.subscriber.request("NOTIFY")
    assert notify.uri == subscription.subscriber.contact
    assert "route" not in notify.keys
    subscription.subscriber.answer(notify, 200)
    assert notifier.statuses("NOTIFY") == [407, 200]
    assert subscription.exchange.records == []


def test_a_refresh_reaches_the_notifier() -> None:
    subscription = Subscription()
    subscriber, attempt = subscription.subscriber, subscription.attempt
    data = attempt.in_dialog("SUBSCRIBE", headers=("Expires: 600",))
    subscriber.send(data)
    challenged = subscriber.responses("SUBSCRIBE")[-1]
    assert challenged.status == 407
    line = subscriber.credentials(challenged, "SUBSCRIBE", subscription.notifier.contact)
    subscriber.send(attempt.in_dialog("SUBSCRIBE", headers=("Expires: 600", line)))
    assert len(subscription.notifier.requests("SUBSCRIBE")) == 2


def test_a_notify_with_a_wrong_password_reaches_nobody() -> None:
    subscription = Subscription()
    notifier = subscription.notify(password="wrong")
    assert notifier.statuses("NOTIFY") == [407, 407]
    assert subscription.subscriber.requests("NOTIFY") == []


def test_a_notify_in_the_name_of_another_number_reaches_nobody() -> None:
    subscription = Subscription()
    stranger = subscription.exchange.phone("0003")
    subscription.notify(sender=stranger)
    assert stranger.statuses("NOTIFY") == [407, 403]
    assert subscription.subscriber.requests("NOTIFY") == []


def test_a_notify_for_a_number_without_a_phone_is_a_481() -> None:
    subscription = Subscription()
    subscription.subscriber.register(contacts=("*",), headers=("Expires: 0",))
    assert subscription.notify().statuses("NOTIFY") == [407, 481]


def test_of_several_phones_the_one_that_subscribed_is_notified() -> None:
    subscription = Subscription()
    other = subscription.exchange.phone("0001")
    subscription.notify()
    assert len(subscription.subscriber.requests("NOTIFY")) == 1
    assert other.requests("NOTIFY") == []


def test_of_phones_on_the_machine_of_the_exchange_the_one_that_subscribed_is_notified() -> None:
    """Their contacts have the host of the exchange, and only the port tells them apart (§12.2.1.1)."""
    subscription = Subscription(private="192.0.2.1:5070")
    newer = subscription.exchange.phone("0001", private="192.0.2.1:5072")
    third = Phone(subscription.exchange, "0001")
    third.contact = "sip:0001@192.0.2.1:5068"
    subscription.exchange.phones[third.key] = third
    third.register()
    subscription.notify()
    assert len(subscription.subscriber.requests("NOTIFY")) == 1
    subscription.notify(**{"NOTIFY sip:0001@192.0.2.1:5070": "NOTIFY sip:0001@192.0.2.1:5072"})
    assert len(newer.requests("NOTIFY")) == 1
    assert third.requests("NOTIFY") == []


def test_a_phone_that_subscribed_with_other_parameters_than_it_registered_with_is_notified() -> None:
    subscription = Subscription()
    other = subscription.exchange.phone("0001")
    contact = subscription.subscriber.contact
    subscription.notify(**{f"NOTIFY {contact}": f"NOTIFY {contact};transport=udp;line=7"})
    assert len(subscription.subscriber.requests("NOTIFY")) == 1
    assert other.requests("NOTIFY") == []


def test_a_notify_to_an_address_that_nobody_registered_goes_nowhere_else() -> None:
    subscription = Subscription()
    subscription.exchange.phone("0001")  # with one phone only, that one would be meant
    contact = subscription.subscriber.contact
    subscription.notify(**{f"NOTIFY {contact}": "NOTIFY sip:0001@203.0.113.77"})
    assert subscription.notifier.statuses("NOTIFY") == [407, 481]
    assert subscription.exchange.undelivered == []


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "MESSAGE", "REFER"])
def test_other_requests_within_unknown_dialogs_are_still_a_481(method: str) -> None:
    subscription = Subscription()
    subscription.notifier.send(callee_request(subscription.notifier, subscription.subscribe, method))
    assert subscription.notifier.statuses(method) == [481]


def test_a_message_to_a_number_that_is_offline_is_a_480_and_to_none_a_404() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    assert phone.invite("0002", method="MESSAGE", body=b"hi").statuses == [480]
    assert phone.invite("7777", method="MESSAGE", body=b"hi").statuses == [404]
    foreign = phone.invite("", uri="sip:bob@example.com", method="MESSAGE", body=b"hi")
    assert foreign.statuses == [403]
    assert exchange.undelivered == []
    assert exchange.records == []


def test_publish_is_relayed_as_any_other_request() -> None:
    exchange = Exchange()
    phone, other = exchange.phone("0001"), exchange.phone("0002")
    attempt = phone.invite("0002", method="PUBLISH", headers=("Event: presence",), body=b"<x/>")
    request = other.request("PUBLISH")
    assert request.body == b"<x/>"
    other.answer(request, 489)
    assert attempt.statuses == [489]
    assert f"@{DOMAIN}" not in request.uri


@pytest.mark.parametrize("event", ["Event: check-sync", "o: Check-Sync ;reboot=true", "Event:\r\n resync"])
@pytest.mark.parametrize("within", ["nothing", "a subscription", "a call"])
def test_only_the_exchange_itself_resets_phones(event: str, within: str) -> None:
    """It would come from the exchange's address, so the phone would start anew in the middle of a call."""
    subscription = Subscription()
    phone, other = subscription.subscriber, subscription.notifier
    if within == "nothing":
        other.invite("0001", method="NOTIFY", headers=(event,), body=b"")
    else:
        begun = subscription.subscribe
        if within == "a call":
            phone.invite("0002")
            begun = other.request("INVITE")
            other.answer(begun, 200)
        data = callee_request(other, begun, "NOTIFY", cseq=7)
        other.send(data.replace(b"Content-Length", event.encode() + b"\r\nContent-Length"))
    assert other.statuses("NOTIFY") == [403]
    assert phone.requests("NOTIFY") == []
    assert subscription.exchange.engine.reset_phone("0001", subscription.exchange.now)
    subscription.exchange.deliver()
    assert len(phone.requests("NOTIFY")) == 1
