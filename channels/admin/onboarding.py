"""The guided way of a new channel: where each step stands, what is next, and what is done there."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse

from channels import connecting, onboarding
from channels.admin.onboarding_review import review_page
from channels.connectors import CONNECTORS
from channels.errors import ChannelError
from channels.models import Channel, ChannelLocation, ShadowRun
from channels.models.shadow import ShadowOutcome
from channels.onboarding import Progress, Standing
from channels.shadow import going_live, runs
from channels.shadow.going_live import Key
from config.admin_panels import Panel, address_of, link, page_of
from config.admin_site import own_page, require
from config.jobs import wake
from inventory.models import Location

#: Numbers of the first push on one page.
NUMBERS: Final = 100
_TONES: Final = {
    Standing.DONE: "good",
    Standing.PARTLY: "good",
    Standing.RUNNING: "warning",
    Standing.TROUBLE: "bad",
    Standing.OPEN: "neutral",
}
#: Seconds after which the page asks again while something runs.
_REFRESH: Final = 4


def onboarding_urls(wrap: Callable[[Any], Any]) -> list[URLPattern]:
    """Returns the pages of the way, below the channels' own."""
    return [
        path("<int:pk>/onboarding/", wrap(onboarding_page), name="channels_onboarding"),
        path("<int:pk>/onboarding/review/", wrap(review_page), name="channels_onboarding_review"),
        path("<int:pk>/onboarding/first-push/", wrap(first_push_page), name="channels_first_push"),
    ]


def onboarding_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Shows the steps of one channel; what is posted is done, and leads back here."""
    require(request, "channels.view_channel")
    channel = get_object_or_404(Channel.objects.defer("credentials"), pk=pk)
    if channel.kind not in CONNECTORS:
        raise Http404
    if request.method == "POST":
        return _do(request, channel)
    progress = onboarding.progress_of(channel)
    response = own_page(
        request,
        "onecount/onboarding.html",
        f"Onboarding of {channel.name}",
        channel=channel,
        progress=progress,
        steps=[
            {"step": step, "tone": _TONES[step.standing], "is_next": step is progress.next, "number": number}
            for number, step in enumerate(progress.steps, 1)
        ],
        panels=_panels(progress),
        places=_places(channel),
        locations=Location.objects.filter(merchant=channel.merchant_id, is_active=True).order_by("code"),
        questions=_questions(progress),
        is_live=channel.is_active and not channel.is_paused,
        may_connect=request.user.has_perm("channels.connect_channel"),
        may_map=request.user.has_perm("channels.map_listing"),
        may_place=request.user.has_perm("channels.add_channellocationsource"),
        report=address_of("channels.shadowrun", progress.run.pk) if progress.run else "",
    )
    if any(step.standing is Standing.RUNNING for step in progress.steps):
        response["Refresh"] = str(_REFRESH)
    return response


def first_push_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Shows the numbers that the channel would be told at once; a post says that somebody has seen them."""
    require(request, "channels.connect_channel")
    channel = get_object_or_404(Channel.objects.defer("credentials"), pk=pk)
    run = runs.open_run_of(channel)
    if run is None:
        messages.warning(request, f"{channel} is not in shadow mode; begin that first.")
        return redirect("admin:channels_onboarding", pk)
    push = going_live.first_push(run)
    if request.method == "POST":
        going_live.note_seen(run, push, by=request.user.get_username())
        messages.success(request, f"Noted: {push.changes:,} numbers would change.")
        return redirect("admin:channels_onboarding", pk)
    page = _whole(request.GET.get("page", "0"))
    numbers = going_live.first_numbers(run, limit=NUMBERS + 1, offset=page * NUMBERS)
    rows = [
        (
            link(address_of("channels.listinglevel", each.listing_level_id), each.sku or "(none)"),
            each.title,
            each.place or "the shop",
            each.shown,
            each.would,
            None if each.shown is None else each.would - each.shown,
        )
        for each in numbers[:NUMBERS]
    ]
    headers = ("SKU", "Title", "Place", "Shows", "Will be told", "Change")
    panel = Panel(
        "Numbers that change",
        headers,
        rows,
        empty="No number changes.",
        note="To 0 first, then the largest changes.",
    )
    return own_page(
        request,
        "onecount/first_push.html",
        f"First push to {channel.name}",
        channel=channel,
        push=push,
        panel=panel,
        page=page,
        has_more=len(numbers) > NUMBERS,
    )


# -- what is shown


def _panels(progress: Progress) -> Mapping[str, Panel]:
    """Returns what the platform says of itself."""
    said = progress.onboarding
    rows = [(name, limit[0], limit[1]) for name, limit in (said.limits if said else {}).items()]
    note = "As the platform allows, as far as it says so; else as its documents do."
    return {"limits": Panel("Its limits", ("Calls", "At once", "Back a second"), rows, note=note)}


def _places(channel: Channel) -> list[dict[str, Any]]:
    places = ChannelLocation.objects.filter(channel=channel).prefetch_related("sources__location")
    return [
        {
            "id": place.pk,
            "external_id": place.external_id,
            "name": place.name or place.external_id or "the shop",
            "link": page_of(place, "Edit"),
            "is_active": place.is_active,
            "behind": ", ".join(each.location.code for each in place.sources.all() if each.is_active),
        }
        for place in places.order_by("-is_active", "name", "id")
    ]


def _questions(progress: Progress) -> list[going_live.Question]:
    run = progress.run
    return going_live.questions(run) if run is not None and run.ended_at is None else []


# -- what is done


def _do(request: HttpRequest, channel: Channel) -> HttpResponse:
    """Does what a button of the page asks for, and says what came of it."""
    name = request.POST.get("do", "")
    if name not in _DEEDS:
        raise Http404
    permission, deed = _DEEDS[name]
    require(request, permission)
    try:
        messages.success(request, deed(request, channel))
    except ChannelError as error:
        messages.error(request, str(error))
    return redirect(reverse("admin:channels_onboarding", args=[channel.pk]))


def _test(request: HttpRequest, channel: Channel) -> str:
    found = onboarding.test(channel, by=request.user.get_username())
    if found.problem:
        raise ChannelError(found.problem)
    return f"Connected to {found.shop}."


def _read(request: HttpRequest, channel: Channel) -> str:
    onboarding.ask_for_listings(channel)
    return "Places and listings are being read; this page follows."


def _match(request: HttpRequest, channel: Channel) -> str:
    wake("channels.tasks.find_matches", channel.merchant_id)
    return "Matches are being looked for; reload in a moment."


def _put_behind(request: HttpRequest, channel: Channel) -> str:
    codes = request.POST.getlist("location")
    if not codes:
        raise ChannelError("Choose at least one location of yours.")
    connecting.put_behind(channel, request.POST.get("place", ""), codes)
    return f"{', '.join(codes)}: put behind the place."


def _begin_shadow(request: HttpRequest, channel: Channel) -> str:
    may_subscribe = request.POST.get("may_subscribe") == "on"
    runs.begin(channel, by=request.user.get_username(), may_subscribe=may_subscribe)
    return f"{channel} is watched from now on, and told nothing."


def _stop_shadow(request: HttpRequest, channel: Channel) -> str:
    if runs.end(channel, ShadowOutcome.STOPPED, by=request.user.get_username()) is None:
        raise ChannelError(f"{channel} is not in shadow mode.")
    return f"{channel} is not watched any more, and stays paused."


def _go_live(request: HttpRequest, channel: Channel) -> str:
    run: ShadowRun | None = runs.open_run_of(channel)
    if run is None:
        raise ChannelError(f"{channel} is not in shadow mode; begin that first.")
    answered = set(request.POST.getlist("answer")) & {*Key}
    confirmed = request.POST.get("changes", "").strip()
    right = going_live.go_live(
        run,
        by=request.user.get_username(),
        answered=answered,
        confirmed=int(confirmed) if confirmed.isdecimal() and len(confirmed) < 10 else None,
    )
    return f"{channel} is live; {right:,} shelves were right already."


def _go_back(request: HttpRequest, channel: Channel) -> str:
    going_live.go_back(channel, by=request.user.get_username())
    return f"{channel} is only watched again: it is told nothing."


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 7 else 0


_CONNECT: Final = "channels.connect_channel"
#: Button → the permission that it takes, and what it does.
_DEEDS: Final[Mapping[str, tuple[str, Callable[[HttpRequest, Channel], str]]]] = {
    "test": (_CONNECT, _test),
    "read": (_CONNECT, _read),
    "match": ("channels.map_listing", _match),
    "put_behind": ("channels.add_channellocationsource", _put_behind),
    "begin_shadow": (_CONNECT, _begin_shadow),
    "stop_shadow": (_CONNECT, _stop_shadow),
    "go_live": (_CONNECT, _go_live),
    "go_back": (_CONNECT, _go_back),
}
