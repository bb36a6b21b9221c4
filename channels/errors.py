"""What can go wrong with a channel, as one tree.

ChannelError
├── BadSignature         a message that is not authentic
├── BadMessage           authentic, but cannot be read
│   └── OrderRefused         an order of a system of the merchant's own that cannot be taken; names the field
├── ImpossibleMove       a step that no fulfilment request takes
├── InvalidPeriod        a period that cannot be rehearsed
├── RehearsalTooLong     a rehearsal that takes longer than a job may
├── RuleRefused          a rule set, pin or rank that contradicts itself; names the field
├── KeysRefused          new keys that cannot take the place of a channel's own; names the field
├── NotReady             a channel that cannot go live yet; names what is open
└── ConnectorError       a call that did not work
    ├── TransientError   worth trying again, after `retry_after` seconds where the platform said so
    │   ├── Throttled        too many calls
    │   └── OutcomeUnknown   it may have arrived: deadline passed or connection lost after sending
    └── PermanentError   the same call will fail again
        ├── Unauthorised     the credentials are not accepted
        ├── Misconfigured    settings or credentials are missing or contradict each other
        ├── Unsupported      the platform cannot do this
        ├── InShadow         the channel is in shadow mode: nothing is written there
        └── Rejected         the platform refused this one item
"""

from collections.abc import Sequence

from config.logs import redact_text


class ChannelError(Exception):
    """The channel could not do what was asked."""

    def __init__(self, message: str = "") -> None:
        # Platforms quote what they were sent, and these texts are stored and shown.
        super().__init__(redact_text(message) or (type(self).__doc__ or "").splitlines()[0])


class BadSignature(ChannelError):
    """The message does not carry a valid signature of this channel."""


class BadMessage(ChannelError):
    """The message is signed, but its body cannot be read."""


class OrderRefused(BadMessage):
    """The order cannot be taken."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class InvalidPeriod(ChannelError):
    """The period cannot be rehearsed."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{field}: {message}")


class RehearsalTooLong(ChannelError):
    """The rehearsal takes longer than a job may; choose a shorter period."""


class RuleRefused(ChannelError):
    """The rule contradicts itself or another one."""

    def __init__(self, field: str, message: str) -> None:
        #: The field that has to be changed; empty where it is none.
        self.field = field
        super().__init__(message)


class KeysRefused(ChannelError):
    """These keys cannot take the place of the channel's own."""

    def __init__(self, field: str, message: str) -> None:
        #: The credential or other field that has to be changed; empty where it is none.
        self.field = field
        super().__init__(message)


class NotReady(ChannelError):
    """The channel cannot go live yet."""

    def __init__(self, open_questions: Sequence[str]) -> None:
        #: What is open, a sentence each.
        self.open_questions = tuple(open_questions)
        super().__init__(" ".join(open_questions))


class ImpossibleMove(ChannelError):
    """The fulfilment request cannot go to this state from where it is."""

    def __init__(self, was: str, to: str) -> None:
        self.was, self.to = was, to
        super().__init__(f"A request that is {was} cannot become {to}.")


class ConnectorError(ChannelError):
    """The call to the platform did not work."""


class TransientError(ConnectorError):
    """The platform could not answer now; the call is tried again."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        #: Seconds the platform asked us to wait; None when it did not say.
        self.retry_after = retry_after
        super().__init__(message)


class Throttled(TransientError):
    """The platform asks for fewer calls."""


class OutcomeUnknown(TransientError):
    """No answer came in time; the change may or may not have arrived."""


class PermanentError(ConnectorError):
    """The platform refused; the same call would be refused again."""


class Unauthorised(PermanentError):
    """The platform does not accept the credentials; enter new ones under Channels."""


class Misconfigured(PermanentError):
    """Settings or credentials of the channel are incomplete."""


class Unsupported(PermanentError):
    """The platform has no such function."""


class Rejected(PermanentError):
    """The platform refused this item."""


class InShadow(PermanentError):
    """The channel is in shadow mode: nothing is written to its platform until it goes live."""
