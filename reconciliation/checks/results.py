"""What a check found of one thing."""

from dataclasses import dataclass, field
from typing import Any

from reconciliation.alerts import ESCALATES_AFTER, Trouble
from reconciliation.models import Severity


@dataclass(frozen=True, slots=True)
class Result:
    """One thing, and how it is. What is wrong opens the alert of its kind, channel and subject."""

    #: The kind of its alert.
    kind: str
    #: What was looked at, as in `Web shop: webhooks`.
    thing: str
    #: What was found, in a few words.
    says: str
    is_ok: bool = True
    remedy: str = ""
    severity: Severity = Severity.WARNING
    merchant_id: int | None = None
    channel_id: int | None = None
    subject: str = ""
    link: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    #: Whether a warning that nobody acknowledges becomes critical after an hour.
    escalates: bool = True

    @property
    def identity(self) -> tuple[str, int | None, int | None, str]:
        """What names the thing: kind, merchant, channel and subject."""
        return self.kind, self.merchant_id, self.channel_id, self.subject

    @property
    def trouble(self) -> Trouble:
        """What is wrong, as an alert has it."""
        return Trouble(
            title=f"{self.thing}: {self.says}",
            remedy=self.remedy,
            severity=self.severity,
            link=self.link,
            evidence=self.evidence,
            escalates_after=ESCALATES_AFTER if self.escalates else None,
        )
