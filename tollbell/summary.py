"""What `make run` tells the person at the keyboard once everything is up."""

import json
import shlex
from collections.abc import Mapping
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


def summary(settings: Settings, environment: Mapping[str, str]) -> str:
    """Where everything is and how to use it, ending with the line `Tollbell is ready`.

    The commands it names carry those settings of `environment` that they need, so that they can be copied.
    """
    # There is no such file when the sample data was declined, or when the database is shared.
    path = settings.sample_credentials
    credentials = SampleCredentials.read(path) if path.exists() else None
    prefix = _settings_for_other_commands(environment)
    lines = ["", f"  Admin console   http://{settings.admin_http}/"]
    if credentials:
        administrator = credentials.administrator
        lines.append(f"                  login {administrator.name}, password {administrator.password}")
    else:
        lines.append(f"                  make a login: {prefix}make administrator LOGIN=admin")
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
            f"  Start a phone   {prefix}make phone NUMBER={credentials.phones[0].name}",
        ]
    lines += ["  Stop            Ctrl-C", "", "Tollbell is ready"]
    return "\n".join(lines)


def _settings_for_other_commands(environment: Mapping[str, str]) -> str:
    """What to write in front of a command in another terminal, for it to mean this system."""
    needed = ("TOLLBELL_VAR", "TOLLBELL_SIP_UDP", "TOLLBELL_SIP_TCP", "TOLLBELL_SIP_DOMAIN")
    return "".join(f"{name}={shlex.quote(environment[name])} " for name in needed if environment.get(name))
