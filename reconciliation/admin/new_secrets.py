"""The page that shows secrets that were just made, this once: no cookie, session or cache ever holds them."""

from collections.abc import Sequence

from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from config.admin_panels import list_of
from config.admin_site import own_page
from reconciliation.signed_posts import OVERLAP


def shown_once(request: HttpRequest, secrets: Sequence[tuple[Model, str]]) -> HttpResponse:
    """Returns the page with the secret of each of these rows; there is at least one."""
    hours = int(OVERLAP.total_seconds() // 3600)
    back = list_of(secrets[0][0]._meta.label_lower)
    response = own_page(
        request,
        "onecount/webhook_secrets.html",
        "Keep these secrets now",
        secrets=secrets,
        hours=hours,
        back=back,
    )
    response["Cache-Control"] = "no-store"
    return response
