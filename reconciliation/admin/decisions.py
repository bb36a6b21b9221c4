"""The pages on which a remedy is confirmed: for one conflict, and for many at once."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin_panels import Panel, address_of, list_of
from config.admin_site import own_page, require
from inventory.errors import IdempotencyConflict, InvalidStockRequest, StockBusy, StockError
from inventory.models import Conflict
from inventory.validation import LARGEST_QUANTITY
from reconciliation.models import RemedyKind, Resolution
from reconciliation.remedies import Remedy, find, remedies_of
from reconciliation.resolving import Decision, resolve
from reconciliation.timelines import units_of

#: Conflicts that are resolved in one go.
MOST: Final = 50
_BEST: Final = "best"


class DecisionForm(forms.Form):
    """How many units, and why."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    #: When the person began to look, in seconds since 1970.
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    quantity = forms.IntegerField(
        label="Units", min_value=1, max_value=LARGEST_QUANTITY, widget=UnfoldAdminIntegerFieldWidget
    )
    note = forms.CharField(
        label="Note",
        required=False,
        max_length=150,
        widget=UnfoldAdminTextInputWidget,
        help_text="What a colleague should know: what the customer agreed to, whom you called.",
    )

    @property
    def handling(self) -> timedelta | None:
        """How long the person has looked at it."""
        return handling_since(self.cleaned_data.get("seen"))


def handling_since(seen: int | None) -> timedelta | None:
    """Returns how long ago an instant was that a page noted, in seconds since 1970; None where it noted none."""
    return None if seen is None else timedelta(seconds=max(datetime.now(UTC).timestamp() - seen, 0))


def decide_page(request: HttpRequest, conflict_id: int) -> HttpResponseBase:
    """Shows what a remedy does and costs; once confirmed it is done, and leads back to the conflict."""
    require(request, "inventory.view_conflict", "reconciliation.resolve_conflict")
    conflict = get_object_or_404(Conflict.objects.select_related("variant"), pk=conflict_id)
    kind, target = request.GET.get("kind", ""), request.GET.get("target", "")
    back = address_of("inventory.conflict", conflict.pk)
    form = DecisionForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid() and _decide(request, conflict, kind, target, form):
        return redirect(back)
    remedy = find(conflict, kind, target)
    if remedy is None:
        messages.warning(request, "This remedy is not to be had any more. These are the ones there are now.")
        return redirect(back)
    return own_page(
        request,
        "onecount/decision.html",
        f"{remedy.title}: {conflict.variant}",
        form=form or DecisionForm(initial=_initial(request, remedy)),
        button=remedy.title,
        back=back,
        note=_note(conflict, remedy),
    )


def _initial(request: HttpRequest, remedy: Remedy) -> dict[str, Any]:
    seen = request.GET.get("seen", "")
    return {
        "key": uuid.uuid4(),
        "seen": int(seen) if seen.isdecimal() and len(seen) < 12 else int(datetime.now(UTC).timestamp()),
        "quantity": remedy.units,
    }


def _note(conflict: Conflict, remedy: Remedy) -> str:
    by_hand = f" {remedy.by_hand} You get a checklist, and say when it is done." if remedy.by_hand else ""
    return f"{conflict.open_quantity} owed; this can end {remedy.units}. {remedy.price}{by_hand}"


def _decide(request: HttpRequest, conflict: Conflict, kind: str, target: str, form: DecisionForm) -> bool:
    """Resolves as the form says, and says what came of it; False, with the reason beside its input, where refused."""
    if kind not in RemedyKind.values:
        form.add_error(None, "There is no such remedy.")
        return False
    data = form.cleaned_data
    decision = Decision(
        key=str(data["key"]),
        kind=RemedyKind(kind),
        target=target,
        quantity=data["quantity"],
        actor=request.user.get_username(),
        note=data["note"],
        handling=form.handling,
    )
    try:
        resolution = resolve(conflict, decision)
    except IdempotencyConflict:
        form.add_error(None, "This form was recorded before with other figures. Open it again.")
    except InvalidStockRequest as error:
        form.add_error(error.field if error.field in form.fields else None, error.message)
    except StockError as error:
        form.add_error(None, str(error))
    else:
        messages.success(request, outcome_of(resolution))
        return True
    return False


def outcome_of(resolution: Resolution) -> str:
    """Says in a sentence how far a resolution is."""
    return f"{resolution.summary}, {units_of(resolution.quantity)}: {resolution.get_state_display().lower()}."


class ManyForm(forms.Form):
    """One remedy for many conflicts."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    kind = forms.ChoiceField(
        label="Remedy",
        choices=[
            (_BEST, "The best one of each that costs no sale and nobody else's goods"),
            (RemedyKind.SERVE.value, "Serve from another location"),
            (RemedyKind.BACKORDER.value, "Backorder for the first day possible"),
            (RemedyKind.CANCEL.value, "Cancel at the platform"),
        ],
        widget=UnfoldAdminSelectWidget,
        help_text="Of each conflict as many units as the remedy can end. Those for which it cannot be had are left alone.",
    )
    note = forms.CharField(label="Note", required=False, max_length=150, widget=UnfoldAdminTextInputWidget)


def decide_many_page(request: HttpRequest) -> HttpResponseBase:
    """Lists the chosen conflicts and asks for a remedy; once confirmed it is applied to each of them."""
    require(request, "inventory.view_conflict", "reconciliation.resolve_conflict")
    given = [each for each in request.GET.get("ids", "").split(",") if each.isdecimal() and len(each) < 19]
    conflicts = list(
        Conflict.objects.filter(pk__in=given[:MOST], open_quantity__gt=0)
        .select_related("variant")
        .order_by("pk")
    )
    back = list_of("inventory.conflict", "state=undecided")
    if not conflicts:
        messages.warning(request, "None of the chosen conflicts is open.")
        return redirect(back)
    seen = int(datetime.now(UTC).timestamp())
    form = ManyForm(request.POST or None, initial={"key": uuid.uuid4(), "seen": seen})
    if request.method == "POST" and form.is_valid():
        _decide_many(request, conflicts, form.cleaned_data)
        return redirect(back)
    rows = [(each.pk, str(each.variant), each.get_cause_display(), each.open_quantity) for each in conflicts]
    return own_page(
        request,
        "onecount/decision.html",
        f"Resolve {len(conflicts)} conflict{'' if len(conflicts) == 1 else 's'}",
        form=form,
        button="Resolve",
        back=back,
        panels=[Panel("Chosen conflicts", ("Conflict", "SKU", "Cause", "Owed"), rows)],
    )


def _decide_many(request: HttpRequest, conflicts: list[Conflict], data: dict[str, Any]) -> None:
    skipped: Counter[str] = Counter()
    handling = handling_since(data.get("seen"))
    share = None if handling is None else handling / len(conflicts)
    done = 0
    for conflict in conflicts:
        remedy = _chosen(conflict, data["kind"])
        if remedy is None:
            skipped["without this remedy"] += 1
            continue
        decision = Decision(
            key=str(data["key"]),
            kind=remedy.kind,
            target=remedy.target,
            actor=request.user.get_username(),
            note=data["note"],
            handling=share,
        )
        try:
            resolve(conflict, decision)
        except StockBusy:
            skipped["busy, try again"] += 1
        except StockError:
            skipped["changed meanwhile"] += 1
        else:
            done += 1
    left = "".join(f" {count} left alone: {reason}." for reason, count in skipped.items())
    tell = messages.success if done else messages.warning
    tell(request, f"{done} conflict{'' if done == 1 else 's'} resolved, or on the way to it.{left}")


def _chosen(conflict: Conflict, kind: str) -> Remedy | None:
    harmless = (RemedyKind.SERVE, RemedyKind.BACKORDER)
    for remedy in remedies_of(conflict):
        fits = remedy.kind in harmless if kind == _BEST else remedy.kind == kind
        if remedy.is_feasible and fits:
            return remedy
    return None
