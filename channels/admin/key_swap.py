"""The page on which a channel gets new keys of its platform: they are tried before anything is changed."""

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldBooleanSwitchWidget,
)

from channels import key_swaps, signing_secrets
from channels.admin.channel_form import secret_input
from channels.admin.decisions import ask
from channels.connectors import CONNECTORS
from channels.connectors.base import Connector
from channels.errors import ChannelError
from channels.key_swaps import NewKeys, Swap
from channels.models import Channel
from channels.signing_secrets import LONGEST_OVERLAP, OVERLAP
from config.admin_panels import address_of
from config.admin_site import require

_OPTIONS: Final = frozenset({"overlap_hours", "expire_on", "makes_webhook_secret"})


class SwapForm(forms.Form):
    """Inputs for new keys; those left empty stay as they are, and none is ever filled in."""

    def __init__(self, *args: Any, connector: type[Connector], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for each in connector.credential_fields:
            field = secret_input(each)
            field.required = False
            field.help_text = f"{each.help_text} Empty: stays as it is.".strip()
            self.fields[each.name] = field
        if connector.chooses_webhook_secret:
            self.fields["makes_webhook_secret"] = forms.BooleanField(
                label="Make a new webhook secret",
                required=False,
                widget=UnfoldBooleanSwitchWidget,
                help_text=f"It is entered at {connector.label} at once.",
            )
        if connector.signed_with:
            self.fields["overlap_hours"] = forms.IntegerField(
                label="Accept both for (hours)",
                min_value=0,
                max_value=int(LONGEST_OVERLAP / timedelta(hours=1)),
                initial=int(OVERLAP / timedelta(hours=1)),
                widget=UnfoldAdminIntegerFieldWidget,
                help_text="Messages signed with a replaced secret. 0 where it has become known to others.",
            )
        self.fields["expire_on"] = forms.DateField(
            label="The new ones end on",
            required=False,
            widget=UnfoldAdminDateWidget,
            help_text="When the first of them ends, if it does.",
        )

    @sensitive_variables()
    def new_keys(self) -> NewKeys:
        """Returns what was entered."""
        data = self.cleaned_data
        return NewKeys(
            {name: value for name, value in data.items() if name not in _OPTIONS and value},
            overlap=timedelta(hours=data.get("overlap_hours", 0)),
            expire_on=data["expire_on"],
            makes_webhook_secret=bool(data.get("makes_webhook_secret")),
        )


@sensitive_post_parameters()
@sensitive_variables()
def swap_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Asks for new keys, tries them, and puts them in the place of the old."""
    require(request, "channels.connect_channel")
    channel = get_object_or_404(Channel.objects.defer("credentials"), pk=pk)
    connector = CONNECTORS.get(channel.kind)
    if connector is None:
        raise Http404
    back = address_of("channels.channel", pk)
    form = SwapForm(request.POST or None, connector=connector)

    @sensitive_variables()
    def run(data: dict[str, Any]) -> str:
        done = key_swaps.swap(pk, form.new_keys(), by=request.user.get_username())
        if done.webhook_problem:
            messages.warning(request, done.webhook_problem)
        return _told(done)

    title = f"Swap the keys of {channel}"
    return ask(
        request, form, run, title=title, button="Test and swap", back=back, note=_note(channel, connector)
    )


def _note(channel: Channel, connector: type[Connector]) -> str:
    both = _both_until(channel)
    until = f" A replaced secret is accepted until {both}." if both else ""
    return (
        f"The new keys are tried at {connector.label} first; nothing is changed where they do not work. Listings, places and "
        f"orders stay. Revoke the old keys at {connector.label} afterwards.{until}"
    )


@sensitive_variables()
def _both_until(channel: Channel) -> str:
    """Returns until when a replaced secret is accepted; empty where none is, or no key opens what is stored."""
    try:
        ends_at = signing_secrets.overlap_ends_at(channel.credentials, timezone.now())
    except ChannelError:
        return ""
    return f"{ends_at:%Y-%m-%d %H:%M} UTC" if ends_at else ""


def _told(done: Swap) -> str:
    said = [f"The keys of {done.account} were tried and swapped: {', '.join(done.replaced)}."]
    if done.both_until:
        said.append(
            f"Messages signed with the old secret are accepted until {done.both_until:%Y-%m-%d %H:%M} UTC."
        )
    return " ".join([*said, "Now revoke the old ones at the platform."])
