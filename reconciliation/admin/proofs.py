"""Proofs of the ledger: each with what it looked at, its verdict and its digest. Begun here, changed by nobody."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path

from config.admin_panels import NOTHING, Panel, badge, duration
from config.admin_site import FactsAdmin, own_page, require
from reconciliation import proofs
from reconciliation.models import ProofRun, ProofScope, ProofState, ProvenCheckpoint

PERMISSION: Final = "reconciliation.prove_ledger"
_TONES: Final = {"held": "good", "failed": "bad", "broken": "bad", "running": "warning"}


@admin.register(ProofRun)
class ProofRunAdmin(FactsAdmin):
    """Every proof of the ledger."""

    list_display = (
        "started_at", "scope", "shown_state", "progress", "levels", "movements", "checkpoints", "took", "short_digest",
    )  # fmt: skip
    list_filter = ("state", "scope")
    ordering = ("-id",)
    list_before_template = "onecount/proof_links.html"
    readonly_fields: ClassVar[Sequence[str]] = ("shown_state", "progress", "took")
    fields = (
        "scope", "shown_state", ("started_at", "finished_at", "took"), "asked_by", "progress",
        ("levels", "movements", "reservations", "checkpoints"), "digest", "error",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that begins a proof."""
        view = self.admin_site.admin_view(prove_page)
        return [path("prove/<str:scope>/", view, name="reconciliation_prove"), *super().get_urls()]

    @admin.display(description="verdict", ordering="state")
    def shown_state(self, run: ProofRun) -> str:
        """Says whether the ledger held."""
        return badge(run.get_state_display(), _TONES[run.state])

    @admin.display(description="steps")
    def progress(self, run: ProofRun) -> str:
        """Returns how far it is."""
        return f"{run.position} of {len(run.steps)}"

    @admin.display(description="took")
    def took(self, run: ProofRun) -> str:
        """Returns how long it took."""
        return duration(run.finished_at - run.started_at) if run.finished_at else NOTHING

    @admin.display(description="digest")
    def short_digest(self, run: ProofRun) -> str:
        """Returns the beginning of the digest."""
        return run.digest[:16] or NOTHING

    def panels(self, request: HttpRequest, instance: ProofRun) -> list[Panel]:
        """Shows what did not hold, and what was proven of each merchant."""
        return [_divergences_panel(instance), _proven_panel(instance)]


def _divergences_panel(run: ProofRun) -> Panel:
    rows = [
        (
            each["sku"],
            each["location"],
            each["movement_id"],
            each["problem"],
            _figures(each["expected"]),
            _figures(each["found"]),
        )
        for each in run.divergences
    ]
    headers = ("SKU", "Location", "Movement", "What does not hold", "Expected", "Found")
    empty = "None." if run.state == ProofState.HELD else "None so far."
    note = "Evidence of a defect. Change nothing, and keep this page." if rows else ""
    return Panel("Divergences", headers, rows, empty=empty, note=note)


def _figures(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _proven_panel(run: ProofRun) -> Panel:
    proven = ProvenCheckpoint.objects.filter(run=run).select_related("merchant").order_by("merchant__name")
    rows = [(each.merchant.name, each.at, each.digest) for each in proven[:50]]
    note = "The digest of a checkpoint stays the same as long as the past does."
    return Panel("Proven checkpoints", ("Merchant", "Checkpoint", "Digest"), rows, note=note)


def prove_page(request: HttpRequest, scope: str) -> HttpResponseBase:
    """Asks once more, and begins a proof as a job."""
    require(request, PERMISSION)
    if scope not in ProofScope.values:
        return redirect("admin:reconciliation_proofrun_changelist")
    chosen = ProofScope(scope)
    if request.method == "POST":
        run = proofs.start(chosen, asked_by=request.user.get_username())
        messages.success(request, "The proof has begun; this page shows how far it is.")
        return redirect("admin:reconciliation_proofrun_change", run.pk)
    note = (
        "Replays the whole ledger. On a large one this reads for minutes, and locks nothing."
        if chosen is ProofScope.FULL
        else "Replays what was recorded since the last proven checkpoint of each merchant, and locks nothing."
    )
    title = "Prove all" if chosen is ProofScope.FULL else "Prove recent"
    return own_page(request, "onecount/stock_form.html", title, form=None, note=note, submit="Begin")


@admin.register(ProvenCheckpoint)
class ProvenCheckpointAdmin(FactsAdmin):
    """What was proven of each merchant, run by run."""

    list_display = ("at", "merchant", "digest", "proven_at")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    ordering = ("-id",)
    fields = ("merchant", "run", "at", "digest", "proven_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings merchant and run along."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant", "run")
