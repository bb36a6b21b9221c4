"""What error reports leave out."""

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class DiscreetReports(SafeExceptionReporterFilter):
    """Hides what views mark as sensitive on the debug page too: whoever debugs a form need not see the secrets in it."""

    def is_active(self, request: HttpRequest | None) -> bool:
        """Returns True, whether or not DEBUG is on."""
        return True
