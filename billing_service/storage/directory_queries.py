"""Reading the directory: everything that the exchange must know, or what has changed since a version."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.storage.tables import DirectoryClock, DirectoryRemoval, PhoneAccount, SystemSettings


@dataclass(frozen=True, slots=True)
class DirectoryChanges:
    """The directory at `version`: whole when `full`, else what differs from the version asked for."""

    version: int
    full: bool
    settings: SystemSettings
    accounts: Sequence[PhoneAccount]
    removed: Sequence[str]


def directory_version(session: Session) -> int:
    """Return the directory's version; cheap."""
    return session.scalars(select(DirectoryClock.version)).one()


def count_other_realms(session: Session, realm: str) -> int:
    """Return how many accounts have a SIP password for another realm, with which no phone can register."""
    other = select(func.count()).select_from(PhoneAccount)
    return session.scalars(
        other.where(
            PhoneAccount.realm != realm, PhoneAccount.state != "closed", PhoneAccount.ha1_md5.is_not(None)
        )
    ).one()


def read_directory(session: Session, *, since: int) -> DirectoryChanges:
    """Return what a client with version `since` lacks; must run in one snapshot.

    A version that this database never had (0, one from before it was made, one from before it was restored)
    gets everything.
    """
    clock = session.scalars(select(DirectoryClock)).one()
    settings = session.scalars(select(SystemSettings)).one()
    full = not clock.first_version <= since <= clock.version
    # A number without SIP password can't register: for the exchange there is no such phone.
    accounts = select(PhoneAccount).where(PhoneAccount.ha1_md5.is_not(None)).order_by(PhoneAccount.number)
    if not full:
        accounts = accounts.where(PhoneAccount.directory_version > since)
    removals = select(DirectoryRemoval.number).where(DirectoryRemoval.version > since)
    return DirectoryChanges(
        version=clock.version,
        full=full,
        settings=settings,
        accounts=session.scalars(accounts).all(),
        removed=[] if full else session.scalars(removals.order_by(DirectoryRemoval.number)).all(),
    )
