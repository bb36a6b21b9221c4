"""Listens to the catalogue: other tags or another category may mean other rules."""

from collections.abc import Collection

from channels import fuse
from channels.models import Rule
from channels.models.rules import VersionState
from channels.rules.marking import mark, shelves_of


def follow_catalogue(merchant_id: int, variant_ids: Collection[int]) -> None:
    """Marks the shelves of variants whose tags or category changed, where rules in force go by them."""
    fuse.lock(merchant_id)
    in_force = Rule.objects.filter(
        version__state=VersionState.ACTIVE, version__rule_set__merchant=merchant_id
    )
    if in_force.filter(tag__isnull=False).exists() or in_force.exclude(category="").exists():
        mark(shelves_of(merchant_id, variant_ids))
