"""What becomes of changes that the fuse holds: a person confirms them, or rolls them back."""

from collections.abc import Callable, Mapping
from typing import Final

from django.db import transaction
from django.utils import timezone

from channels import fuse, importing, mapping
from channels.errors import RuleRefused
from channels.models import ListingLevel, Mutation
from channels.models.listings import Lane
from channels.models.mutations import MutationKind, MutationState
from channels.models.rules import VersionState
from channels.pushes import mark_listing_levels
from channels.rules import lifecycle


@transaction.atomic
def confirm(mutation_id: int, *, actor: str, because: str = "") -> Mutation:
    """Applies a change that waits. Raises `RuleRefused` when it does not wait any more."""
    mutation = _locked(mutation_id)
    _decide(mutation, MutationState.CONFIRMED, actor, because)
    _APPLY[MutationKind(mutation.kind)](mutation)
    return mutation


@transaction.atomic
def refuse(mutation_id: int, *, actor: str, because: str = "") -> Mutation:
    """Leaves everything as it was: a version becomes a draft again, listings stay listed, SKUs stay unmapped."""
    mutation = _locked(mutation_id)
    _decide(mutation, MutationState.REFUSED, actor, because)
    if mutation.version is not None and mutation.version.state == VersionState.APPROVED:
        lifecycle.withdraw_approval(mutation.version.pk)
    return mutation


def _locked(mutation_id: int) -> Mutation:
    fuse.lock(Mutation.objects.values_list("merchant_id", flat=True).get(pk=mutation_id))
    mutation = Mutation.objects.select_for_update(of=("self",)).get(pk=mutation_id)
    if mutation.state != MutationState.WAITING:
        raise RuleRefused("state", f"Nothing waits here: {mutation.get_state_display().lower()} already.")
    return mutation


def _decide(mutation: Mutation, state: MutationState, actor: str, because: str) -> None:
    mutation.state, mutation.decided_at = state, timezone.now()
    mutation.decided_by, mutation.decided_because = actor[:200], because
    mutation.save(update_fields=["state", "decided_at", "decided_by", "decided_because"])


def _apply_rules(mutation: Mutation) -> None:
    if mutation.version is None:
        raise RuleRefused("version", "The version that waited is gone.")
    lifecycle.activate(
        mutation.version.pk,
        actor=mutation.decided_by,
        because=mutation.decided_because or mutation.because,
        is_confirmed=True,
    )


def _apply_import(mutation: Mutation) -> None:
    importing.retire(mutation.merchant_id, mutation.listing_ids)


def _apply_mapping(mutation: Mutation) -> None:
    mapping.map_these(mutation.merchant_id, mutation.listing_ids)


def _apply_correction(mutation: Mutation) -> None:
    levels = ListingLevel.objects.filter(listing__in=mutation.listing_ids)
    ids = list(levels.order_by("id").values_list("id", flat=True))
    # Read first: by what we know some of them are right, and would be told nothing.
    mark_listing_levels(ids, lane=Lane.INCREASE, read_first=True)


_APPLY: Final[Mapping[MutationKind, Callable[[Mutation], None]]] = {
    MutationKind.RULES: _apply_rules,
    MutationKind.IMPORT: _apply_import,
    MutationKind.MAPPING: _apply_mapping,
    MutationKind.CORRECTION: _apply_correction,
}
