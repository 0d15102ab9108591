"""Errors that end a command or a request with a text for people."""


class BillingServiceError(Exception):
    """Base of this package's own errors outside the domain; the text says what to do next."""


class BadSetting(BillingServiceError):
    """A setting in the environment has a value that cannot be used."""


class UnableToStart(BillingServiceError):
    """A program cannot start: a port is taken, a directory is not accessible, a server does not come up."""


class NotFound(BillingServiceError):
    """What a request names does not exist."""


class Conflict(BillingServiceError):
    """What a request wants is not possible as things are now."""


class Forbidden(BillingServiceError):
    """Who asks may not do this."""


class Stale(BillingServiceError):
    """What a change was based on has been changed by somebody else since."""
