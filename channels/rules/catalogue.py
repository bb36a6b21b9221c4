"""Listens to the catalogue: other tags or another category may mean other rules."""

from collections.abc import Collection

from django.db.models import Q

from channels import fuse
from channels.models import Rule
from channels.models.rules import VersionState
from channels.rules.marking import kits_of, mark, shelves_of


def follow_catalogue(merchant_id: int, variant_ids: Collection[int]) -> None:
    """Marks the shelves of variants whose tags or category changed, where rules in force go by them."""
    fuse.lock(merchant_id)
    in_force = Rule.objects.filter(
        version__state=VersionState.ACTIVE, version__rule_set__merchant=merchant_id
    )
    by_goods = in_force.filter(Q(tag__isnull=False) | ~Q(category=""))
    pools = set(by_goods.order_by().values_list("pool_id", flat=True).distinct())
    if pools:
        kits = set() if pools == {None} else kits_of(variant_ids)
        mark(shelves_of(merchant_id, {*variant_ids, *kits}))
