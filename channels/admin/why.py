""" "Why 7?" of any instant: from what was on hand to what the channel had confirmed, each step with its evidence."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from channels.admin.rows import with_channel
from channels.history import PastShelf, shelves_as_of, variant_shelves_as_of
from channels.models import Listing, RuleSetActivation, RuleSetVersion
from channels.models.outbound import PushOutcome
from channels.past_inputs import PastInputs, inputs_as_of
from channels.past_rules import versions_at
from config.admin_panels import Change, Panel, link, moment, page_of
from config.admin_site import own_page, require
from inventory.admin import time_travel
from inventory.admin.time_travel import InstantForm, held_panel, levels_panel

_STEPS: Final = ("Step", "Change", "Units after it", "Because", "Rule", "Evidence")


def listing_why_page(request: HttpRequest, listing_id: int) -> HttpResponse:
    """Shows for each shelf of a listing how its number came about at an instant, and what the channel knew of it."""
    require(request, "channels.view_listinglevel", "inventory.view_stockmovement")
    listings = with_channel(Listing.objects.all(), "variant")
    listing = get_object_or_404(listings, pk=listing_id)
    form = InstantForm(request.GET)
    at = form.instant
    ids = list(listing.levels.order_by("id").values_list("pk", flat=True))
    shelves = {shelf.listing_level_id: shelf for shelf in shelves_as_of(ids, at)}
    panels: list[Panel] = []
    for level_id, past in inputs_as_of(ids, at).items():
        panels += shelf_panels(past, shelves[level_id], at)
    panels.append(rules_panel(listing.channel.merchant_id, at))
    title = f"Why this number? {listing.sku or listing.external_id} on {listing.channel}"
    return own_page(request, "onecount/time_travel.html", title, form=form, at=at, panels=panels)


def shelf_panels(past: PastInputs, shelf: PastShelf, at: datetime) -> list[Panel]:
    """Returns the waterfall of one shelf, and the stock and reservations behind it."""
    name = shelf.place or "the shop"
    if past.variant_id is None:
        return [Panel(f"Why, at {name}?", _STEPS, [], empty="It was not mapped, so it was told nothing.")]
    exposure = past.exposure
    on_hand = exposure.steps[0].before if exposure.steps else 0
    evidence = _evidence(past, at)
    rows: list[tuple[Any, ...]] = [
        ("On hand", Change(0), on_hand, "at the locations behind this place", "", evidence["On hand"])
    ]
    rows += [
        (
            step.name,
            Change(step.after - step.before),
            step.after,
            step.why,
            step.rule,
            evidence.get(step.name, ""),
        )
        for step in exposure.steps
    ]
    rows += _told_rows(shelf)
    note = f"It would have been told {exposure.quantity}."
    if past.as_now:
        note += f" Not recorded over time, so taken as it is now: {', '.join(past.as_now)}."
    return [
        Panel(f"Why {exposure.quantity}, at {name}?", _STEPS, rows, note=note),
        levels_panel(past.levels),
        held_panel(past.reservations),
    ]


def _evidence(past: PastInputs, at: datetime) -> dict[str, str]:
    """Leads from steps to movements and reservations."""
    movements = reverse("admin:inventory_variant_movements", args=[past.variant_id])
    until = f"?until={at:%Y-%m-%d+%H:%M:%S.%f}"
    held = sum(each.quantity for each in past.reservations)
    return {
        "On hand": link(movements + until, "Movements until then"),
        "Available": f"{held} units in {len(past.reservations)} reservations, below" if held else "",
    }


def _told_rows(shelf: PastShelf) -> list[tuple[Any, ...]]:
    """Says what had been sent and confirmed, as the last steps of the way."""
    rows: list[tuple[Any, ...]] = []
    if shelf.sent is None:
        rows.append(("Sent", "", None, "nothing had been sent", "", ""))
    else:
        outcome = PushOutcome(shelf.sent_outcome).label if shelf.has_ended else "on its way"
        rows.append(_told_row("Sent", shelf.sent, f"{outcome}, {_when(shelf.sent_at)}", shelf.sent_push_id))
    if shelf.confirmed is None:
        rows.append(("Confirmed", "", None, "nothing had been confirmed", "", ""))
    else:
        why = f"by the channel, {_when(shelf.confirmed_at)}"
        rows.append(_told_row("Confirmed", shelf.confirmed, why, shelf.confirmed_push_id))
    if shelf.found_right_push_id is not None:
        why = f"needed no change, {_when(shelf.found_right_at)}"
        rows.append(_told_row("Found right", shelf.found_right, why, shelf.found_right_push_id))
    return rows


def _told_row(name: str, units: int | None, why: str, push_id: int | None) -> tuple[Any, ...]:
    push = link(reverse("admin:channels_push_change", args=[push_id]), "Push") if push_id else ""
    return name, "", units, why, "", push


def _when(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def rules_panel(merchant_id: int, at: datetime) -> Panel:
    """Shows the rule versions that were in force."""
    chosen = versions_at(merchant_id, at).values()
    spans = RuleSetActivation.objects.filter(version__in=chosen, began_at__lte=at).order_by("-began_at")
    spans = spans.select_related("version__rule_set")
    rows, seen = [], set()
    for span in spans:
        if span.version_id not in seen:
            seen.add(span.version_id)
            rows.append((_version(span.version), moment(span.began_at), span.began_by, span.began_because))
    headers = ("Version", "In force since", "By", "Because")
    return Panel("Rules in force then", headers, rows, empty="None: the channels' own settings alone.")


def _version(version: RuleSetVersion) -> str:
    return page_of(version) if admin.site.is_registered(RuleSetVersion) else str(version)


def told_panels(merchant_id: int, variant_ids: Collection[int], at: datetime) -> list[Panel]:
    """Shows what each channel had been told of variants, and the rules then; added to the pages of time travel."""
    rows = [
        (
            shelf.channel,
            shelf.place or "the shop",
            link(_why_address(shelf, at), shelf.sku or "Why?"),
            shelf.sent,
            moment(shelf.sent_at),
            shelf.confirmed,
            moment(shelf.confirmed_at),
            shelf.found_right,
        )
        for shelf in variant_shelves_as_of(merchant_id, variant_ids, at)
    ]
    headers = ("Channel", "Place", "Why", "Sent", "Sent at", "Confirmed", "Confirmed at", "Found right")
    return [
        Panel("What each channel had been told", headers, rows, empty="No channel lists it."),
        rules_panel(merchant_id, at),
    ]


def _why_address(shelf: PastShelf, at: datetime) -> str:
    address = reverse("admin:channels_listing_why", args=[shelf.listing_id])
    return f"{address}?at={at:%Y-%m-%d+%H:%M:%S.%f}"


time_travel.register(told_panels)
