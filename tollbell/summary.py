"""What `make run` tells the person at the keyboard once everything is up."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tollbell.settings import Settings


@dataclass(frozen=True, slots=True)
class Login:
    """A name (or number), its password, and whose it is."""

    name: str
    password: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class SampleCredentials:
    """The logins that came with the sample data."""

    administrator: Login
    phones: tuple[Login, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that the sample data wrote."""
        document = json.loads(path.read_text())
        administrator = document["administrator"]
        return cls(
            Login(administrator["login"], administrator["password"]),
            tuple(
                Login(phone["number"], phone["password"], phone["display_name"])
                for phone in document["phones"]
            ),
        )


def summary(settings: Settings) -> str:
    """Where everything is and how to use it, ending with the line `Tollbell is ready`."""
    # There is no such file when the sample data was declined, or when the database is shared.
    path = settings.sample_credentials
    credentials = SampleCredentials.read(path) if path.exists() else None
    lines = ["", f"  Admin console   http://{settings.admin_http}/"]
    if credentials:
        administrator = credentials.administrator
        lines.append(f"                  login {administrator.name}, password {administrator.password}")
    else:
        lines.append("                  make a login: python -m billing_service create-administrator")
    lines += [
        f"  SIP             udp {settings.sip_udp}, tcp {settings.sip_tcp}, domain {settings.sip_domain}",
        f"  Billing API     http://{settings.billing_http}/",
        f"  Exchange API    http://{settings.control_http}/",
    ]
    if credentials:
        lines += ["", "  Sample phones   number  SIP password      name"]
        lines += [
            f"                  {phone.name:<6}  {phone.password:<16}  {phone.owner}"
            for phone in credentials.phones
        ]
        lines += [
            "",
            f"  All of these    {path}",
            f"  Start a phone   make phone NUMBER={credentials.phones[0].name}",
        ]
    lines += ["  Stop            Ctrl-C", "", "Tollbell is ready"]
    return "\n".join(lines)
