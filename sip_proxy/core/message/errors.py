"""What is wrong with a message that can't be used."""


class MalformedMessage(ValueError):
    """A message breaks the grammar or a rule of RFC 3261.

    `status` is what a request is to be answered with; `reason` is a phrase that tells a person what is wrong,
    free of anything taken from the message.
    """

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
