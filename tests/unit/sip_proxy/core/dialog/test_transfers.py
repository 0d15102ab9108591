"""Transfers between phones (RFC 3515, RFC 3891, RFC 5589): every call is recorded, on the right account."""

import pytest

from sip_proxy.core.dialog.call_record import CallRecord, EndedBy, Outcome
from sip_proxy.core.dialog.transfers import replaced_dialog
from sip_proxy.core.outputs import LiveCallState, SecurityEventKind
from tests.support.sip_phones import DOMAIN, Attempt, Exchange, account, callee_request, make_directory


class Transfer:
    """0001 (the transferor) has called 0002 (the transferee), and will hand the call over to 0003."""

    def __init__(self, *, call_limit: int | None = None) -> None:
        accounts = [account(number, call_limit=call_limit) for number in ("0001", "0002", "0003")]
        self.exchange = Exchange(make_directory(*accounts))
        self.transferor, self.transferee, self.target = (
            self.exchange.phone(number) for number in ("0001", "0002", "0003")
        )
        self.call = self.transferor.invite("0002")
        self.transferee.answer(self.transferee.request("INVITE"), 200, tag="transferee")
        self.call.ack()
        self.exchange.advance(10)

    def refer(self, refer_to: str) -> None:
        """The transferor asks the transferee to call somebody else, and is told that it will."""
        headers = (f"Refer-To: <{refer_to}>", f"Referred-By: <sip:0001@{DOMAIN}>")
        self.transferor.send(self.call.in_dialog("REFER", headers=headers))
        self.transferee.answer(self.transferee.request("REFER"), 202)
        assert self.transferor.statuses("REFER") == [202]

    def notify(self, cseq: int, state: str) -> None:
        """The transferee says how the new call goes (RFC 3515 §2.4.4)."""
        first = self.transferee.requests("INVITE")[0]
        data = callee_request(self.transferee, first, "NOTIFY", cseq=cseq, tag="transferee")
        headers = f"Event: refer\r\nSubscription-State: {state}\r\nContent-Length"
        self.transferee.send(data.replace(b"Content-Length", headers.encode()))
        self.transferor.answer(self.transferor.request("NOTIFY"), 200)

    def transferee_calls(self, uri: str = f"sip:0003@{DOMAIN}", replaces: str = "") -> Attempt:
        """The transferee calls the target, with its own credentials."""
        headers = (f"Referred-By: <sip:0001@{DOMAIN}>",)
        if replaces:
            headers += (f"Replaces: {replaces}",)
        return self.transferee.invite("0003", uri=uri, headers=headers)

    def records(self) -> dict[tuple[str, str], CallRecord]:
        """All records, by caller and callee."""
        records = self.exchange.records
        found = {(record.caller, record.callee): record for record in records}
        assert len(found) == len(records)
        return found


@pytest.mark.parametrize("call_limit", [None, 1])
@pytest.mark.parametrize("by_contact", [False, True])
def test_a_blind_transfer(by_contact: bool, call_limit: int | None) -> None:
    transfer = Transfer(call_limit=call_limit)
    uri = transfer.target.contact if by_contact else f"sip:0003@{DOMAIN}"
    transfer.refer(uri)
    refer = transfer.transferee.request("REFER")
    assert refer.first("refer-to") == f"<{uri}>"
    assert refer.first("referred-by") == f"<sip:0001@{DOMAIN}>"
    transfer.notify(2, "active;expires=60")
    second = transfer.transferee_calls(uri)
    assert second.is_on_its_way
    invite = transfer.target.request("INVITE")
    assert invite.first("p-asserted-identity") == f'"Phone 0002" <sip:0002@{DOMAIN}>'
    assert invite.first("referred-by") == f"<sip:0001@{DOMAIN}>"
    transfer.target.answer(invite, 200, tag="target")
    second.ack()
    transfer.notify(3, "terminated;reason=noresource")
    transfer.call.bye()
    transfer.transferee.answer(transfer.transferee.request("BYE"), 200)
    transfer.exchange.advance(20)
    second.bye()
    records = transfer.records()
    assert records["0001", "0002"].duration_us == 10_000_000
    assert records["0002", "0003"].duration_us == 20_000_000
    assert all(record.outcome is Outcome.ANSWERED for record in records.values())
    assert transfer.exchange.engine.live_calls() == []


def test_a_notification_after_the_transferor_hung_up_still_arrives() -> None:
    transfer = Transfer()
    transfer.refer(f"sip:0003@{DOMAIN}")
    transfer.call.bye()
    transfer.transferee.answer(transfer.transferee.request("BYE"), 200)
    transfer.exchange.advance(5)
    transfer.notify(2, "terminated;reason=noresource")
    assert transfer.transferee.statuses("NOTIFY") == [200]
    assert len(transfer.exchange.records) == 1


@pytest.mark.parametrize("call_limit", [None, 2])
def test_an_attended_transfer(call_limit: int | None) -> None:
    """0001 asks 0003 first, then connects 0002 with it; 0003 puts the new call in place of the old one."""
    transfer = Transfer(call_limit=call_limit)
    consultation = transfer.transferor.invite("0003")
    transfer.target.answer(transfer.target.request("INVITE"), 200, tag="target")
    consultation.ack()
    transfer.exchange.advance(5)
    replaces = f"{consultation.call_id};to-tag=target;from-tag={consultation.from_tag}"
    transfer.refer(f"sip:0003@{DOMAIN}?Replaces={replaces.replace(';', '%3B').replace('=', '%3D')}")
    second = transfer.transferee_calls(replaces=replaces)
    first_invite, invite = transfer.target.requests("INVITE")
    assert invite.first("replaces") == replaces
    transfer.target.answer(invite, 200, tag="target2")
    second.ack()
    transfer.target.send(callee_request(transfer.target, first_invite, "BYE", tag="target"))
    transfer.transferor.answer(transfer.transferor.request("BYE"), 200)
    transfer.call.bye()
    transfer.exchange.advance(30)
    second.bye()
    records = transfer.records()
    assert {pair: record.duration_us // 1_000_000 for pair, record in records.items()} == {
        ("0001", "0002"): 15,
        ("0001", "0003"): 5,
        ("0002", "0003"): 30,
    }
    assert records["0001", "0003"].ended_by is EndedBy.CALLEE
    assert transfer.exchange.engine.live_calls() == []


@pytest.mark.parametrize("address", ["contact", "number"])
def test_an_attended_transfer_reaches_the_phone_that_is_in_the_call_and_no_other(address: str) -> None:
    """RFC 5589 §7.3: by the contact of that phone, which may have made up a name for itself."""
    transfer = Transfer()
    exchange = transfer.exchange
    transfer.target.register(contacts=("*",), headers=("Expires: 0",))
    transfer.target.contact = f"sip:q7v1x@{transfer.target.address[0]}:5060"
    transfer.target.register(call_id="again")
    consultation = transfer.transferor.invite("0003")
    transfer.target.answer(transfer.target.request("INVITE"), 200, tag="target")
    consultation.ack()
    other = exchange.phone("0003")
    replaces = f"{consultation.call_id};to-tag=target;from-tag={consultation.from_tag}"
    uri = transfer.target.contact if address == "contact" else f"sip:0003@{DOMAIN}"
    second = transfer.transferee_calls(uri, replaces=replaces)
    invite = transfer.target.requests("INVITE")[-1]
    assert invite.first("replaces") == replaces
    assert other.requests("INVITE") == []
    transfer.target.answer(invite, 200, tag="target2")
    second.ack()
    second.bye()
    (record,) = exchange.records
    assert (record.caller, record.callee, record.outcome) == ("0002", "0003", Outcome.ANSWERED)


def test_a_contact_elsewhere_is_not_called_because_of_a_replaces_header() -> None:
    transfer = Transfer()
    replaces = f"{transfer.call.call_id};to-tag={transfer.call.from_tag};from-tag=transferee"
    second = transfer.transferee_calls("sip:q7v1x@203.0.113.9", replaces=replaces)
    assert second.statuses == [403]
    assert transfer.exchange.undelivered == []


def test_a_target_without_a_readable_contact_is_called_by_its_number() -> None:
    transfer = Transfer()
    consultation = transfer.transferor.invite("0003")
    transfer.target.answer(transfer.target.request("INVITE"), 200, tag="target", contact="sip:")
    replaces = f"{consultation.call_id};to-tag=target;from-tag={consultation.from_tag}"
    transfer.transferee_calls(replaces=replaces)
    assert transfer.target.requests("INVITE")[-1].first("replaces") == replaces


def test_the_target_of_an_attended_transfer_may_be_at_its_limit() -> None:
    transfer = Transfer(call_limit=None)
    directory = transfer.exchange.directory
    directory.accounts["0003"] = account("0003", call_limit=1)
    consultation = transfer.transferor.invite("0003")
    transfer.target.answer(transfer.target.request("INVITE"), 200, tag="target")
    consultation.ack()
    good = f"{consultation.call_id};from-tag={consultation.from_tag};to-tag=target"
    assert transfer.transferee_calls(replaces=f"{good}x").statuses == [486]
    assert transfer.transferee_calls(replaces=good.replace("target", "x")).statuses == [486]
    assert transfer.transferee_calls(replaces="another@call;to-tag=target;from-tag=x").statuses == [486]
    assert transfer.transferee_calls().statuses == [486]
    assert transfer.transferee_calls(replaces=good).is_on_its_way


def test_a_refused_or_old_transfer_gives_nobody_another_call() -> None:
    transfer = Transfer(call_limit=1)
    transfer.transferor.send(transfer.call.in_dialog("REFER", headers=("Refer-To: <sip:0003@x>",)))
    transfer.transferee.answer(transfer.transferee.request("REFER"), 603)
    assert transfer.transferee_calls().statuses == [403]
    transfer.transferor.send(transfer.call.in_dialog("REFER", headers=("Refer-To: <sip:0003@x>",)))
    transfer.transferee.answer(transfer.transferee.request("REFER"), 202)
    transfer.exchange.advance(65)
    assert transfer.transferee_calls().statuses == [403]


def test_a_phone_that_is_not_in_a_call_with_the_sender_is_not_referred_to_anybody() -> None:
    """It would call at its own expense, and nobody there has agreed to anything (RFC 3515 §5.2)."""
    transfer = Transfer()
    attempt = transfer.target.invite("0002", method="REFER", headers=(f"Refer-To: <sip:0003@{DOMAIN}>",))
    assert attempt.statuses == [403]
    assert transfer.transferee.requests("REFER") == []
    (event,) = transfer.exchange.security_events
    assert (event.kind, event.number) == (SecurityEventKind.FORBIDDEN_IDENTITY, "0003")
    assert event.detail == "REFER to 0002 outside of a call"


def test_a_program_of_the_same_number_may_have_its_phone_call_somebody() -> None:
    exchange = Exchange()
    phone, program = exchange.phone("0001"), exchange.phone("0001", register=False)
    program.invite("0001", method="REFER", headers=(f"Refer-To: <sip:0002@{DOMAIN}>",))
    assert phone.request("REFER").first("refer-to") == f"<sip:0002@{DOMAIN}>"
    assert "record-route" in phone.request("REFER").keys


@pytest.mark.parametrize("sender", ["caller", "callee"])
def test_a_phone_that_rings_is_not_referred_to_anybody(sender: str) -> None:
    """pjsip obeys a REFER of the caller before anybody has answered: it calls at its own expense."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    callee.answer(invite, 180, tag="callee")
    if sender == "caller":
        caller.send(attempt.in_dialog("REFER", headers=(f"Refer-To: <sip:0003@{DOMAIN}>",)))
        assert caller.statuses("REFER") == [403]
    else:
        callee.send(callee_request(callee, invite, "REFER", tag="callee"))
        assert callee.statuses("REFER") == [403]
    assert caller.requests("REFER") == callee.requests("REFER") == []
    callee.answer(invite, 200, tag="callee")
    assert exchange.call_states[-1] is LiveCallState.ANSWERED


def test_the_transferee_pays_for_its_own_call_only_with_its_own_password() -> None:
    transfer = Transfer()
    transfer.refer(f"sip:0003@{DOMAIN}")
    assert transfer.transferee.invite("0003", password="wrong").statuses == [407]
    forged = transfer.transferee.invite("0003", from_uri=f"sip:0001@{DOMAIN}")
    assert forged.statuses == [403]
    assert transfer.target.requests("INVITE") == []
    assert transfer.records()["0002", "0003"].outcome is Outcome.REJECTED


def test_the_address_of_a_phone_elsewhere_is_still_foreign() -> None:
    transfer = Transfer()
    for uri in ("sip:0003@203.0.113.5:5060", transfer.target.contact.replace("0003", "0001")):
        assert transfer.transferee.invite("0003", uri=uri).statuses == [403]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b;to-tag=1;from-tag=2", ("a@b", "1", "2")),
        (" a@b ; From-Tag = 2 ; to-tag= 1;early-only", ("a@b", "1", "2")),
        ("a@b", ("a@b", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_replaces_header_is_read(value: str, expected: tuple[str, str, str]) -> None:
    assert replaced_dialog(value) == expected
