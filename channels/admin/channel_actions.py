"""What operators do with channels: pause, push, poll, test, look after webhooks."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Least, Now
from django.http import HttpRequest

from channels import feeds, subscriptions
from channels.accounts import open_connector
from channels.errors import ChannelError, ConnectorError, Unsupported
from channels.key_swaps import end_overlap
from channels.models import Channel, PollFeed
from channels.tuning import poll_now, push_now
from config.notify import notify_after_commit

#: Seconds for one question to a platform while somebody waits for the page.
_PATIENCE: Final = 10.0


class ChannelActions:
    """The actions of the channel page, each on those channels for which it makes sense."""

    actions: ClassVar[tuple[str, ...]] = (
        "pause",
        "resume",
        "push_now",
        "poll_now",
        "read_listings",
        "test_connection",
        "register_webhooks",
        "audit_subscriptions",
        "refuse_replaced_secrets",
    )
    detail_actions: ClassVar[Sequence[str]] = actions
    report: Any

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may pause and resume."""
        return request.user.has_perm("channels.pause_channel")

    def has_push_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may push now."""
        return request.user.has_perm("channels.push_listinglevel")

    def has_connect_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may talk to the platform."""
        return request.user.has_perm("channels.connect_channel")

    @admin.action(description="Pause", permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Stops telling channels numbers; their orders still come in."""
        changed = _switch(queryset, is_paused=True)
        self.report(request, changed, "channel{s} paused", {"paused already": queryset.count() - changed})

    @admin.action(description="Resume", permissions=["pause"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Tells channels again, beginning with what became due meanwhile. One in shadow goes live by its onboarding page."""
        changed = _switch(queryset, is_paused=False)
        if changed:
            notify_after_commit("onecount_push")
        shadows = queryset.filter(in_shadow=True).count()
        skipped = {"in shadow mode": shadows, "not paused": queryset.count() - changed - shadows}
        self.report(request, changed, "channel{s} resumed", skipped)

    @admin.action(description="Push now", permissions=["push"])
    def push_now(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Has every mapped listing of channels told its number, whether or not it changed."""
        chosen = queryset.filter(is_active=True, is_paused=False)
        done = push_now(list(chosen.values_list("pk", flat=True)))
        skipped = {"channels paused or off": queryset.count() - chosen.count()}
        self.report(request, done, "number{s} will be told again", skipped)

    @admin.action(description="Poll now", permissions=["push"])
    def poll_now(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Has the orders of channels read at once."""
        chosen = queryset.filter(is_active=True)
        poll_now(list(chosen.values_list("pk", flat=True)))
        done = chosen.count()
        self.report(
            request, done, "channel{s} will be polled at once", {"switched off": queryset.count() - done}
        )

    @admin.action(description="Read places and listings", permissions=["connect"])
    def read_listings(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Has the places and listings of channels read soon."""
        chosen = queryset.filter(is_active=True)
        feeds.ensure_feeds()
        own = PollFeed.objects.filter(channel__in=chosen.values("pk"), name=feeds.LISTINGS)
        done = own.update(next_poll_at=Least("next_poll_at", Now()))
        notify_after_commit("onecount_push")
        self.report(request, done, "channel{s} will be read", {"switched off": queryset.count() - done})

    @admin.action(description="Test connection", permissions=["connect"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Asks each platform who we are, and says what it answered."""
        for channel in queryset:
            try:
                name = open_connector(channel, deadline=_PATIENCE).check()
            except ConnectorError as error:
                messages.error(request, f"{channel}: {error}")
            else:
                messages.success(request, f"{channel}: connected to {name}.")

    @admin.action(description="Register webhooks", permissions=["connect"])
    def register_webhooks(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Creates the webhook subscriptions that are missing at each platform."""
        skipped: Counter[str] = Counter()
        done = 0
        for channel in queryset:
            try:
                subscriptions.register(channel, open_connector(channel, deadline=_PATIENCE))
            except Unsupported:
                skipped["whose platform has none that we create"] += 1
            except ConnectorError as error:
                skipped["that failed"] += 1
                messages.error(request, f"{channel}: {error}")
            else:
                done += 1
        self.report(request, done, "channel{s} with webhooks in place", skipped)

    @admin.action(description="Audit subscriptions", permissions=["connect"])
    def audit_subscriptions(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Compares the webhook subscriptions with what we need, mends them, and says what is still wrong."""
        skipped: Counter[str] = Counter()
        done = 0
        for channel in queryset:
            try:
                problems = subscriptions.audit(channel)
            except Unsupported:
                skipped["whose platform has none that we create"] += 1
            except ConnectorError as error:
                skipped["that failed"] += 1
                messages.error(request, f"{channel}: {error}")
            else:
                done += 1
                for problem in problems:
                    messages.warning(
                        request, f"{channel}, {problem.topic}: {problem.problem} {problem.remedy}"
                    )
        self.report(request, done, "channel{s} audited", skipped)

    @admin.action(description="Refuse replaced secrets", permissions=["connect"])
    def refuse_replaced_secrets(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Ends overlaps: messages signed with a secret that was replaced are refused from now on."""
        skipped: Counter[str] = Counter()
        done = 0
        for pk in queryset.values_list("pk", flat=True):
            try:
                ended = end_overlap(pk)
            except ChannelError as error:
                skipped["whose credentials cannot be read"] += 1
                messages.error(request, str(error))
                continue
            done += ended
            skipped["that accept none"] += not ended
        self.report(request, done, "channel{s} no longer accept replaced secrets", skipped)


def _switch(channels: QuerySet[Channel], *, is_paused: bool) -> int:
    """Pauses or resumes those that are not so yet, each with its line in the history; returns how many."""
    count = 0
    for channel in channels.filter(is_paused=not is_paused, in_shadow=False):
        channel.is_paused = is_paused
        channel.save(update_fields=["is_paused"])
        count += 1
    return count
