"""A REGISTER that is refused."""

from sip_proxy.core.rejection import Rejection


class RegistrationRefused(Exception):
    """A REGISTER that can't be done; nothing of it was."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.text)
        self.rejection = rejection
