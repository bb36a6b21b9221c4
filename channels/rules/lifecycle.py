"""The life of a version: drawn up, approved, in force, retired, and back in one click.

    draft → approved → active → retired
                          ↑        │
                          └────────┘  rolled back

Only drafts are edited. At most one version of a set is in force; coming into force retires the one before. Each
span in force is a `RuleSetActivation` with who and why. Whatever changes the rules in force marks, in the same
transaction, the listing levels whose numbers may change; the mutation fuse may hold it for a person.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone
from simple_history.utils import bulk_create_with_history

from channels import fuse
from channels.errors import RuleRefused
from channels.models import Mutation, Rule, RuleSet, RuleSetActivation, RuleSetVersion
from channels.models.mutations import MutationKind, MutationState
from channels.models.rules import VersionState
from channels.rules.marking import Shelf, kits_of, mark, picture, shelves_of
from channels.rules.ranks import refresh_standings
from config.jobs import wake

_CLOCK: Final = "clock of the rules"


@transaction.atomic
def draw_up(
    rule_set: RuleSet, *, actor: str, why: str = "", based_on: RuleSetVersion | None = None
) -> RuleSetVersion:
    """Adds a draft with the next number; it begins as a copy of `based_on`, or empty."""
    locked = RuleSet.objects.select_for_update().get(pk=rule_set.pk)
    last = locked.versions.aggregate(last=Max("number"))["last"] or 0
    version = RuleSetVersion.objects.create(rule_set=locked, number=last + 1, created_by=actor[:200], why=why)
    rules = list(based_on.rules.order_by("position", "id")) if based_on else []
    for rule in rules:
        rule.pk, rule.version, rule._state.adding = None, version, True
    bulk_create_with_history(rules, Rule)
    return version


@transaction.atomic
def approve(version_id: int, *, actor: str, because: str) -> RuleSetVersion:
    """Closes a draft to edits. Raises `RuleRefused` where its dates overlap those of another version."""
    version = _locked(version_id)
    if version.state != VersionState.DRAFT:
        raise RuleRefused("state", f"Only a draft can be approved; {version} is {version.state}.")
    if not because.strip():
        raise RuleRefused("because", "Say why it is approved.")
    _check_dates(version)
    if version.effective_from:
        _check_overlap(version, version.effective_from)
    version.state = VersionState.APPROVED
    version.approved_by, version.approved_at = actor[:200], timezone.now()
    version.approved_because = because
    version.save()
    return version


@transaction.atomic
def withdraw_approval(version_id: int) -> RuleSetVersion:
    """Makes an approved version a draft again."""
    version = _locked(version_id)
    if version.state != VersionState.APPROVED:
        raise RuleRefused(
            "state", f"Only an approved version can be withdrawn; {version} is {version.state}."
        )
    version.state, version.approved_by, version.approved_at = VersionState.DRAFT, "", None
    version.approved_because = ""
    version.save()
    Mutation.objects.filter(version=version, state=MutationState.WAITING).update(
        state=MutationState.WITHDRAWN, decided_at=timezone.now()
    )
    return version


@transaction.atomic
def activate(version_id: int, *, actor: str, because: str, is_confirmed: bool = False) -> bool:
    """Puts an approved or retired version in force now, and marks what it changes.

    Returns False where the fuse holds it: nothing has changed then, and a mutation waits for somebody to
    confirm it. Raises `RuleRefused`.
    """
    version = _locked(version_id)
    if version.state not in {VersionState.APPROVED, VersionState.RETIRED}:
        raise RuleRefused("state", f"Approve {version} first; it is {version.state}.")
    if not because.strip():
        raise RuleRefused("because", "Say why it comes into force.")
    now = timezone.now()
    if _is_over(version):
        raise RuleRefused("effective_until", "This version has ended already. Draw up a new one from it.")
    if version.effective_from is None or version.effective_from > now:
        _check_overlap(version, now)
        version.effective_from = now
    affected = _affected(version.rule_set, version)
    change = _change(version.rule_set, affected, f"{version} comes into force", actor, because, version)
    if not is_confirmed and fuse.admit(change).state == MutationState.WAITING:
        return False
    _switch(version.rule_set, version, affected, actor=actor, because=because)
    return True


@transaction.atomic
def roll_back(rule_set_id: int, *, actor: str, because: str) -> RuleSetActivation | None:
    """Puts back in force what was before the version in force; None where that was nothing.

    A version whose end has passed meanwhile stays in force without one, until somebody ends it.
    Never held by the fuse: it is the remedy. Raises `RuleRefused` when nothing is in force.
    """
    rule_set = _locked_set(rule_set_id)
    current = _current(rule_set)
    if current is None:
        raise RuleRefused("state", f"No version of {rule_set} is in force.")
    before = _before(current)
    version = before.version if before else None
    if version is not None and _is_over(version):
        # The clock would end it within a minute.
        version.effective_until = None
    affected = _affected(rule_set, version)
    text = f"{current.version} is rolled back to {version or 'nothing'}"
    fuse.note(_change(rule_set, affected, text, actor, because, version))
    return _switch(rule_set, version, affected, actor=actor, because=because, rolls_back=current)


@transaction.atomic
def retire(rule_set_id: int, *, actor: str, because: str) -> None:
    """Ends the version in force without another one. Raises `RuleRefused` when there is none."""
    rule_set = _locked_set(rule_set_id)
    current = _current(rule_set)
    if current is None:
        raise RuleRefused("state", f"No version of {rule_set} is in force.")
    _retire(rule_set, current, actor=actor, because=because)


def follow_dates() -> int:
    """Puts in force what begins by now and ends what has ended; returns how many versions that were.

    Called every minute. What the fuse holds stays approved and waits for a person; until then the version before it
    stays in force, also beyond its end.
    """
    now = timezone.now()
    is_over = Q(effective_until__isnull=False, effective_until__lte=now)
    begin = RuleSetVersion.objects.filter(state=VersionState.APPROVED, effective_from__lte=now).exclude(
        is_over
    )
    done = 0
    # What begins replaces what ends, so that there is no moment without rules.
    for version in begin.exclude(mutations__state=MutationState.WAITING).order_by("effective_from", "id"):
        done += activate(version.pk, actor=_CLOCK, because=version.approved_because or "Its day has come.")
    end = RuleSetVersion.objects.filter(is_over, state=VersionState.ACTIVE)
    for version in end.exclude(rule_set__in=begin.values("rule_set")).order_by("id"):
        done += _end(version)
    return done


@transaction.atomic
def _end(version: RuleSetVersion) -> bool:
    """Ends a version whose time is over; False where it is no longer in force."""
    rule_set = _locked_set(version.rule_set_id)
    current = _current(rule_set)
    if current is None or current.version_id != version.pk or not _is_over(current.version):
        return False
    _retire(rule_set, current, actor=_CLOCK, because=f"{version} was to end by then.")
    return True


def _retire(rule_set: RuleSet, current: RuleSetActivation, *, actor: str, because: str) -> None:
    affected = _affected(rule_set, None)
    fuse.note(_change(rule_set, affected, f"{current.version} ends", actor, because, None))
    _switch(rule_set, None, affected, actor=actor, because=because)


def _is_over(version: RuleSetVersion) -> bool:
    return version.effective_until is not None and version.effective_until <= timezone.now()


# -- what each of them does


def _locked(version_id: int) -> RuleSetVersion:
    """Locks fuse, set and version, in this order."""
    merchant_id = RuleSet.objects.values_list("merchant_id", flat=True).get(versions=version_id)
    fuse.lock(merchant_id)
    versions = RuleSetVersion.objects.select_related("rule_set").select_for_update()
    return versions.get(pk=version_id)


def _locked_set(rule_set_id: int) -> RuleSet:
    fuse.lock(RuleSet.objects.values_list("merchant_id", flat=True).get(pk=rule_set_id))
    return RuleSet.objects.select_for_update().get(pk=rule_set_id)


def _current(rule_set: RuleSet) -> RuleSetActivation | None:
    open_ones = rule_set.activations.filter(ended_at__isnull=True)
    return open_ones.select_related("version__rule_set").first()


def _before(activation: RuleSetActivation) -> RuleSetActivation | None:
    """Returns the span that this one replaced; of one that rolled back, that before the span it put back."""
    if activation.rolls_back is not None:
        put_back = _before(activation.rolls_back)
        return _before(put_back) if put_back else None
    replaced = RuleSetActivation.objects.filter(
        rule_set=activation.rule_set_id, ended_at=activation.began_at, id__lt=activation.pk
    )
    return replaced.select_related("version__rule_set").first()


def _affected(rule_set: RuleSet, version: RuleSetVersion | None) -> list[Shelf]:
    """Returns the shelves for which the rules come to something else with this version in place of the current one."""
    in_force = RuleSetVersion.objects.filter(
        rule_set__merchant=rule_set.merchant_id, state=VersionState.ACTIVE
    )
    before = set(in_force.values_list("id", flat=True))
    after = set(in_force.exclude(rule_set=rule_set).values_list("id", flat=True))
    if version is not None:
        after.add(version.pk)
    shelves = shelves_of(rule_set.merchant_id, _variants_meant(before ^ after))
    old = picture(rule_set.merchant_id, shelves, version_ids=before)
    return picture(rule_set.merchant_id, shelves, version_ids=after).changed_from(old)


def _variants_meant(version_ids: set[int]) -> Sequence[int] | None:
    """Returns the only variants that these versions speak of; None where they speak of more."""
    rules = Rule.objects.filter(version__in=version_ids)
    if rules.filter(variant__isnull=True).exists():
        return None
    meant = set(rules.order_by().values_list("variant_id", flat=True))
    pooled = rules.filter(pool__isnull=False).order_by().values_list("variant_id", flat=True)
    return sorted(meant | kits_of(set(pooled)))


def _change(
    rule_set: RuleSet,
    affected: Sequence[Shelf],
    what: str,
    actor: str,
    because: str,
    version: RuleSetVersion | None,
) -> fuse.Change:
    listing_ids = {shelf.listing_id for shelf in affected}
    return fuse.Change(
        merchant_id=rule_set.merchant_id,
        kind=MutationKind.RULES,
        listing_ids=listing_ids,
        summary=f"{what}: {len(listing_ids)} listings",
        actor=actor,
        because=because,
        version_id=version.pk if version else None,
    )


def _switch(
    rule_set: RuleSet,
    version: RuleSetVersion | None,
    affected: Sequence[Shelf],
    *,
    actor: str,
    because: str,
    rolls_back: RuleSetActivation | None = None,
) -> RuleSetActivation | None:
    """Ends the span in force, begins the new one, and marks what is affected."""
    now = _clock()
    current = _current(rule_set)
    if current is not None:
        current.version.state = VersionState.RETIRED
        current.version.save()
        current.ended_at, current.ended_by, current.ended_because = now, actor[:200], because
        current.save()
    begun = None
    if version is not None:
        version.state = VersionState.ACTIVE
        version.save()
        begun = RuleSetActivation.objects.create(
            rule_set=rule_set,
            version=version,
            began_at=now,
            began_by=actor[:200],
            began_because=because,
            rolls_back=rolls_back,
            marked=len(affected),
        )
    refresh_standings(rule_set.merchant_id)
    mark(affected)
    wake("channels.tasks.measure_rules", rule_set.merchant_id)
    return begun


def _clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]


# -- dates


def _check_dates(version: RuleSetVersion) -> None:
    begins, ends = version.effective_from, version.effective_until
    if begins and ends and ends <= begins:
        raise RuleRefused("effective_until", "The end must come after the beginning. Choose a later instant.")
    if ends and ends <= timezone.now():
        raise RuleRefused(
            "effective_until", "The end has passed. Choose an instant to come, or leave it empty."
        )


def _check_overlap(version: RuleSetVersion, begins: datetime) -> None:
    """Refuses dates that overlap those of another version of the set.

    A version without an end lasts until the next one begins, so that only a stated end can overlap. What is in
    force now gives way to a version that comes into force now.
    """
    others: Any = version.rule_set.versions.exclude(pk=version.pk)
    is_now = begins <= timezone.now()
    for other in others.filter(state__in=[VersionState.APPROVED, VersionState.ACTIVE]):
        if other.state == VersionState.ACTIVE and is_now:
            continue
        starts = other.effective_from
        if starts is None:
            continue
        if starts == begins or (starts < begins and other.effective_until and begins < other.effective_until):
            until = f" until {other.effective_until:%Y-%m-%d %H:%M}" if other.effective_until else ""
            raise RuleRefused(
                "effective_from",
                f"Overlaps {other}, which is in force from {starts:%Y-%m-%d %H:%M}{until}. "
                f"Begin later, or end {other} earlier.",
            )
        if begins < starts and version.effective_until and starts < version.effective_until:
            raise RuleRefused(
                "effective_until",
                f"Overlaps {other}, which begins at {starts:%Y-%m-%d %H:%M}. End by then, or leave the end empty.",
            )
