"""The form of a channel: built from what its connector declares.

Secrets go in and never come out: their inputs are always empty, a blank one keeps what is stored, and neither history,
log nor error report holds a value.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from channels.accounts import checked_settings
from channels.connectors import CONNECTORS
from channels.connectors.base import Connector, CredentialField
from channels.errors import ChannelError
from channels.models import Channel
from config.admin_panels import NOTHING

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Channel]
else:
    ModelForm = forms.ModelForm

SETTING: Final = "setting_"
CREDENTIAL: Final = "credential_"
EXPOSURE: Final = ("buffer_units", "buffer_percent", "minimum_exposure", "maximum_exposure")
ROUTING: Final = ("routing", "may_split")
DELIVERY: Final = ("delivery_days_from", "delivery_days_to")
EXPIRY: Final = "credentials_expire_on"
#: New credentials that end no later than this have most likely kept the date of the old ones.
SOON: Final = timedelta(days=30)


class ChannelForm(ModelForm):
    """What all kinds have in common; `form_for` adds the connector's own fields."""

    #: None for a kind that no connector speaks any more.
    connector: ClassVar[type[Connector] | None] = None

    class Meta:
        model = Channel
        fields = ("merchant", "name", "is_active", *EXPOSURE, *ROUTING, *DELIVERY, "poll_interval", EXPIRY)
        help_texts: ClassVar[dict[str, str]] = {
            "is_active": "Off: nothing is received, polled or pushed.",
            "buffer_units": "Units withheld from this channel, of each listing.",
            "buffer_percent": "Percent withheld, 0 to 100, rounded up to whole units.",
            "minimum_exposure": "Below this many units the channel shows none.",
            "maximum_exposure": "The channel never shows more. Empty: no limit.",
            "routing": "How locations are chosen for its orders, among those behind its places.",
            "may_split": "Off: an order leaves from one location, and each listing shows what one location has.",
            "delivery_days_from": "Days from goods in stock to goods at the customer, at best.",
            "delivery_days_to": "And at worst. Both empty: nothing is said of when goods arrive.",
            EXPIRY: (
                "When the first of these ends at the platform, if it does: you are warned 30, 7 and 1 days before. "
                "Tokens that are renewed by themselves need no date."
            ),
            "poll_interval": "How often orders are polled, as HH:MM:SS. Empty: as the platform allows.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.connector is not None and not self.instance.kind:
            self.instance.kind = self.connector.kind
        stored = stored_names(self.instance)
        for name, field in self.fields.items():
            if name.startswith(SETTING):
                field.initial = self.instance.settings.get(name.removeprefix(SETTING), field.initial)
            elif name.removeprefix(CREDENTIAL) in stored:
                field.required = False
                field.help_text = f"{field.help_text} Stored. Leave empty to keep it.".strip()

    def clean_buffer_percent(self) -> int:
        """Refuses more than everything."""
        percent: int = self.cleaned_data["buffer_percent"]
        if percent > 100:
            raise forms.ValidationError("Not more than 100 percent can be withheld.")
        return percent

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Refuses a name that the merchant has given already, and a minimum above the maximum."""
        cleaned: dict[str, Any] = super().clean() or {}
        least, most = cleaned.get("minimum_exposure"), cleaned.get("maximum_exposure")
        if least is not None and most is not None and least > most:
            self.add_error("maximum_exposure", f"Must be at least the minimum, {least}.")
        merchant_id = cleaned["merchant"].pk if cleaned.get("merchant") else self.instance.merchant_id
        twins = Channel.objects.filter(merchant_id=merchant_id, name=cleaned.get("name"))
        if twins.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "This merchant has a channel of that name already.")
        self._check_settings()
        self._check_expiry()
        return cleaned

    @sensitive_variables()
    def _check_expiry(self) -> None:
        """Refuses new secrets that keep a date of the old ones which has come or is near."""
        ends_on = self.cleaned_data.get(EXPIRY)
        is_near = ends_on is not None and ends_on <= timezone.now().date() + SOON
        if is_near and EXPIRY not in self.changed_data and self.entered_credentials():
            self.add_error(
                EXPIRY, f"{ends_on} is when the old credentials end. Enter when the new ones do, or clear it."
            )

    def _check_settings(self) -> None:
        """Refuses settings with which the connector could not be opened, in its own words."""
        if self.connector is None or self.errors:
            return
        try:
            checked_settings(self.connector, self.entered_settings())
        except ChannelError as error:
            self.add_error(None, str(error))

    def entered_settings(self) -> dict[str, Any]:
        """Returns the connector's settings as entered; those left blank have their default."""
        return {
            name.removeprefix(SETTING): value
            for name, value in self.cleaned_data.items()
            if name.startswith(SETTING) and value not in (None, "")
        }

    @sensitive_variables()
    def entered_credentials(self) -> dict[str, str]:
        """Returns the secrets that were entered; those left blank are not among them."""
        return {
            name.removeprefix(CREDENTIAL): value
            for name, value in self.cleaned_data.items()
            if name.startswith(CREDENTIAL) and value
        }


@sensitive_variables()
def stored_names(channel: Channel) -> set[str]:
    """Returns which secrets are stored; none where they cannot be opened."""
    if channel._state.adding:
        return set()
    try:
        return {name for name, value in channel.credentials.items() if value}
    except ChannelError:
        return set()


def connector_of(kind: str) -> type[Connector] | None:
    """Returns the connector of a kind, None for one that is retired or unknown."""
    return CONNECTORS.get(kind)


def form_for(kind: str) -> type[ChannelForm]:
    """Returns the form class of a kind, with an input for each setting and secret that its connector declares."""
    connector = connector_of(kind)
    if connector is None:
        return ChannelForm
    fields: dict[str, Any] = {
        SETTING + name: _setting(name, value, connector.settings_help.get(name, ""))
        for name, value in connector.settings_schema.items()
    }
    fields |= {CREDENTIAL + each.name: secret_input(each) for each in connector.credential_fields}
    return type("ChannelForm", (ChannelForm,), {**fields, "connector": connector})


def _setting(name: str, default: Any, help_text: str) -> forms.Field:
    """Returns the input of a setting, by the type of its default; `...` makes it required text."""
    label = name.replace("_", " ").capitalize().replace("url", "URL").replace("Api", "API")
    if isinstance(default, bool):
        return forms.BooleanField(
            label=label,
            required=False,
            initial=default,
            help_text=help_text,
            widget=UnfoldBooleanSwitchWidget,
        )
    if isinstance(default, int):
        return forms.IntegerField(
            label=label, initial=default, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget
        )
    is_required = default is ...
    if isinstance(default, str) and default:
        help_text = f"{help_text} Empty: {default}.".strip()
    return forms.CharField(
        label=label,
        required=is_required,
        initial="" if is_required else default,
        help_text=help_text,
        max_length=500,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "spellcheck": "false"}),
    )


def secret_input(field: CredentialField) -> forms.Field:
    """Returns the input of a secret: never filled in, kept from the browser's store."""
    return forms.CharField(
        label=field.label,
        help_text=field.help_text,
        required=field.is_required,
        min_length=field.shortest or None,
        max_length=4000,
        strip=True,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}, render_value=False),
    )


def shown_settings(settings: Mapping[str, Any]) -> str:
    """Returns settings as a line of text; they hold no secrets."""
    return ", ".join(f"{name}: {value}" for name, value in settings.items()) or NOTHING
