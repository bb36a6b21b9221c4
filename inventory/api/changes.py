"""The feed of changes: what a mirror of the stock is kept in step by."""

from collections.abc import Collection
from typing import Any, Final

from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from config.api.pagination import cursor_for, cursor_of, page_size
from config.api.problems import NO_SCOPE, Problem
from inventory.api.views import MerchantView
from inventory.changes import check_kept, following, head
from inventory.models import Change, ChangeKind

USUAL: Final = 200
MOST: Final = 1_000

#: What a key must be allowed to read to be told of a kind, by its first word; `stock` is what the endpoint itself asks for.
_RESOURCES: Final = {
    "stock": "stock",
    "reservation": "reservations",
    "variant": "catalogue",
    "location": "catalogue",
}

#: What is told of a change, and where it stands; the position first.
_COLUMNS: Final = {
    "id": "position",
    "kind": "kind",
    "sku": "variant__sku",
    "variant_id": "variant_id",
    "location": "location__code",
    "location_id": "location_id",
    "version": "version",
    "operation_id": "operation_id",
    "verb": "operation__verb",
    "actor": "operation__actor",
    "source": "operation__source",
    "document": "operation__document",
    "happened_at": "happened_at",
    "data": "payload",
}

_EXAMPLE: Final = {
    "data": [
        {
            "id": 48211,
            "kind": "stock.changed",
            "sku": "MUG-BLUE",
            "variant_id": 7,
            "location": "main",
            "location_id": 2,
            "version": 19,
            "operation_id": 9034,
            "verb": "reserve",
            "actor": "webshop (oc_live_4fTq8sLk2P)",
            "source": "api",
            "document": "",
            "happened_at": "2026-01-31T14:00:00.120000Z",
            "data": {
                "level_id": 12,
                "on_hand": 40,
                "reserved": 3,
                "unavailable": 0,
                "available": 37,
                "on_hand_delta": 0,
                "reserved_delta": 2,
                "unavailable_delta": 0,
                "movement_kind": "reservation",
                "reason": "sale",
            },
        }
    ],
    "has_more": False,
    "next_cursor": "NDgyMTE",
}


class ChangeSerializer(serializers.Serializer[Any]):
    """One committed change."""

    id = serializers.IntegerField(help_text="Its place in the order; rises, with gaps.")
    kind = serializers.ChoiceField(choices=ChangeKind.choices)
    sku = serializers.CharField(allow_null=True, help_text="As the variant is called now.")
    variant_id = serializers.IntegerField(allow_null=True)
    location = serializers.CharField(allow_null=True, help_text="The code that the location has now.")
    location_id = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField(
        allow_null=True,
        help_text="Of `stock.changed`: the version of the level after it; 1, 2, 3 … without a gap for each level.",
    )
    operation_id = serializers.IntegerField(
        allow_null=True, help_text="What caused it; null for the catalogue."
    )
    verb = serializers.CharField(allow_null=True, help_text="What the operation did.")
    actor = serializers.CharField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    document = serializers.CharField(allow_null=True)
    happened_at = serializers.DateTimeField()
    data = serializers.DictField(  # type: ignore[assignment]
        help_text=(
            "`stock.changed`: `level_id`, then `on_hand`, `reserved`, `unavailable` and `available` after it, the three "
            "deltas, `movement_kind` and `reason`. `reservation.*`: `reservation_id`, `reference`, `units` that it is "
            "about, and the state of the reservation. `variant.changed` and `location.changed`: the row."
        )
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Two units were reserved", value=_EXAMPLE, response_only=True)]
)
class FeedSerializer(serializers.Serializer[Any]):
    """A piece of the feed."""

    data = ChangeSerializer(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField(help_text="Whether there is more to read at once.")
    next_cursor = serializers.CharField(help_text="Read on from here, now or later.")


class Feed(MerchantView):
    """Changes: everything that happens to the stock, in order."""

    resource, name_of_rows, model = "stock", "changes", Change
    serializer_class = FeedSerializer
    parameters = frozenset({"cursor", "limit", "kind"})
    further_statuses = (410,)
    pagination_class = None

    @extend_schema(
        responses=forced_singular_serializer(FeedSerializer),  # type: ignore[no-untyped-call]
        parameters=[
            OpenApiParameter(
                "cursor", str, description="`next_cursor` of the answer before; without it, where the feed stands now."
            ),
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
                description="Changes of a piece.",
            ),
            OpenApiParameter(
                "kind",
                {"type": "array", "items": {"type": "string", "enum": ChangeKind.values}},
                explode=True,
                description="Once for each kind that is wanted; without it, all that the key may read.",
            ),
        ],
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """Tells every committed change once, in the order of commits for each level.

        Begin without a cursor: the answer holds no change, and the cursor of now. Then read `/stock-levels`, and then
        the changes from that cursor on. A level may have been read with changes that are still to be told: take a
        change only where its `version` is above the one you have. Reservations are told to keys that may read them,
        variants and locations to those that may read the catalogue. A cursor older than what is kept is refused with 410.
        """
        kinds, limit, after = (
            self._kinds(request),
            page_size(request, usual=USUAL, most=MOST),
            cursor_of(request),
        )
        # Read before the changes: all up to it can be seen by then, so that what is not told was not asked for.
        latest = head()
        if after is None:
            return Response(_page([], latest, has_more=False))
        rows = following(self.rows(Change).filter(kind__in=kinds), after, limit + 1)
        found = list(rows.values_list(*_COLUMNS.values()))
        check_kept(after)
        told, has_more = found[:limit], len(found) > limit
        last = told[-1][0] if told else after
        return Response(_page(told, last if has_more else max(last, latest), has_more=has_more))

    def _kinds(self, request: Request) -> Collection[str]:
        """Returns the kinds to tell. Raises `ValidationError`, and `Problem` where the key lacks the scope."""
        asked = set(request.query_params.getlist("kind"))
        if unknown := asked.difference(ChangeKind.values):
            raise ValidationError({"kind": [f"There is no kind {', '.join(sorted(unknown))[:200]}."]})
        refused = sorted(kind for kind in asked if not self._may_read(kind))
        if refused:
            scope = f"{_resource_of(refused[0])}:read"
            raise Problem(
                NO_SCOPE, f"The key lacks the scope {scope}, which {refused[0]} needs.", field="kind"
            )
        return asked or [kind for kind in ChangeKind.values if self._may_read(kind)]

    def _may_read(self, kind: str) -> bool:
        return self.caller.may(_resource_of(kind), "read")


def _resource_of(kind: str) -> str:
    return _RESOURCES[kind.partition(".")[0]]


def _page(rows: Collection[tuple[Any, ...]], last: int, *, has_more: bool) -> dict[str, Any]:
    return {
        "data": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
        "has_more": has_more,
        "next_cursor": cursor_for(last),
    }
