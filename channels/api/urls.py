"""Which path leads to which of the channels' endpoints, below `/api/v1/`."""

from typing import Final

from rest_framework.routers import SimpleRouter

from channels.api.authorities import Authorities
from channels.api.availability import Availability
from channels.api.channels import Channels
from channels.api.failures import Errors, Messages, Retries
from channels.api.listing_levels import ListingLevels
from channels.api.listings import Listings
from channels.api.orders import Orders
from channels.api.rules import Rehearsals, RuleSets, RuleVersions
from channels.api.shadow import ShadowRuns, ShadowSpans

VIEWS: Final = {
    "availability": Availability,
    "channels": Channels,
    "authorities": Authorities,
    "listings": Listings,
    "listing-levels": ListingLevels,
    "orders": Orders,
    "rule-sets": RuleSets,
    "rule-versions": RuleVersions,
    "rehearsals": Rehearsals,
    "shadow-runs": ShadowRuns,
    "shadow-spans": ShadowSpans,
    "errors": Errors,
    "platform-messages": Messages,
    "retries": Retries,
}

router = SimpleRouter(trailing_slash=False)
for _path, _view in VIEWS.items():
    router.register(_path, _view, basename=_view.name_of_rows)

urlpatterns = router.urls
