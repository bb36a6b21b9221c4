"""What all figures are asked for with: days, channel, goods, and the page."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, date, timedelta
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from analytics.performance import Span
from analytics.series import INTERVALS, Asked, Key
from channels.models import Channel
from config.api.pagination import KeyPages
from inventory.api.query import choice, day, row_id, text
from inventory.api.views import MerchantView

#: Days that are shown unless told otherwise, and that may be asked for at once.
USUAL: Final = 30
LONGEST: Final = 1_100
_FIRST: Final = date(1970, 1, 1) + timedelta(days=LONGEST)
_LAST: Final = date(9000, 1, 1)

FROM: Final = OpenApiParameter(
    "from", date, description=f"The first day (UTC); else {USUAL - 1} days before `to`."
)
TO: Final = OpenApiParameter("to", date, description="The last day, which is part of it; else today.")
INTERVAL: Final = OpenApiParameter(
    "interval", str, enum=list(INTERVALS), default="day", description="What rows are added up over."
)
CHANNEL: Final = OpenApiParameter("channel", OpenApiTypes.INT64, description="The id of a channel.")
SKU: Final = OpenApiParameter("sku", str, description="Only this variant.")
LOCATION: Final = OpenApiParameter("location", str, description="The code of a location.")


class Figures(MerchantView, ABC):
    """Figures of a span of days, page by page."""

    resource = "analytics"
    pagination_class: Any = KeyPages
    #: What the parts of a row's key are.
    key_types: Sequence[type] = ()

    @abstractmethod
    def key_of(self, row: Any) -> tuple[Any, ...]:
        """Returns the key of a row, by which pages go on."""

    def asked(self, request: Request, **more: Any) -> Asked:
        """Returns what is asked for. Raises `ValidationError`."""
        return Asked(
            span_of(request, self.caller.merchant_id),
            interval=choice(request, "interval", list(INTERVALS), "day") or "day",
            channel_id=row_id(request, "channel"),
            sku=text(request, "sku"),
            location=text(request, "location"),
            channel_ids=channels_of(self),
            **more,
        )

    def paged(self, fetch: Callable[[Key | None, int], Sequence[Any]]) -> Response:
        """Returns a page of what a function computes after a key."""
        rows: Any = fetch
        page = self.paginate_queryset(rows) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


def channels_of(view: MerchantView) -> list[int] | None:
    """Returns the channels whose figures a test key sees; None where all are seen."""
    if not view.caller.is_test:
        return None
    return list(view.rows(Channel).order_by("pk").values_list("pk", flat=True))


def span_of(request: Request, merchant_id: int) -> Span:
    """Returns the days that are asked for. Raises `ValidationError`."""
    today = timezone.now().astimezone(UTC).date()
    last = day(request, "to") or today
    if not _FIRST <= last <= _LAST:
        raise ValidationError({"to": ["A day of this era."]})
    first = day(request, "from") or last - timedelta(days=USUAL - 1)
    if not last - timedelta(days=LONGEST) < first <= last:
        raise ValidationError({"from": [f"Not after `to`, and at most {LONGEST:,} days before it."]})
    return Span(merchant_id, first, last + timedelta(days=1))
