"""From a channel's row to an account: settings checked, secrets collected."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from channels.accounts import account_of, open_connector, webhook_url
from channels.errors import Misconfigured
from channels.models import Channel

SETTINGS = {"shop_domain": "corner.myshopify.com"}
CREDENTIALS = {"client_id": "id", "client_secret": "the secret"}


def with_settings(channel: Channel, **settings: Any) -> Channel:
    channel.settings = settings
    channel.credentials = CREDENTIALS
    return channel


def test_defaults_fill_in_what_a_channel_does_not_say(channel: Channel) -> None:
    account = account_of(with_settings(channel, **SETTINGS))
    assert account.settings == {**SETTINGS, "base_url": "", "api_version": "2026-10"}
    assert account.channel_id == channel.pk


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "needs the setting shop_domain"),
        ({"shop_domain": ""}, "needs the setting shop_domain"),
        ({**SETTINGS, "colour": "red"}, "no setting named colour"),
        ({**SETTINGS, "api_version": 2026}, "wrong type"),
        ({**SETTINGS, "base_url": "http://shop.example.com"}, "https"),
        ({**SETTINGS, "base_url": "https://u:p@shop.example.com"}, "user name"),
        ({**SETTINGS, "base_url": "https://shop.example.com/?a=1"}, "query"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_reason(
    channel: Channel, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Misconfigured, match=reason):
        account_of(with_settings(channel, **given))


def test_a_channel_without_its_secret_is_refused(channel: Channel) -> None:
    channel.settings, channel.credentials = SETTINGS, {"client_id": "id"}
    with pytest.raises(Misconfigured, match="Client secret"):
        account_of(channel)


def test_a_channel_of_a_retired_kind_is_not_spoken_to(channel: Channel) -> None:
    channel.kind = "retired"
    with pytest.raises(Misconfigured, match="no connector"):
        open_connector(channel)


def test_a_replaced_secret_is_live_until_its_overlap_ends(channel: Channel) -> None:
    with_settings(channel, **SETTINGS)
    now = timezone.now()
    channel.credentials = {
        **CREDENTIALS,
        "previous_webhook_secrets": [
            {"secret": "old", "valid_until": (now + timedelta(minutes=1)).isoformat()},
            {"secret": "older", "valid_until": (now - timedelta(minutes=1)).isoformat()},
        ],
    }
    assert account_of(channel).webhook_secrets == ("the secret", "old")


def test_the_webhook_address_is_unguessable_and_public(channel: Channel, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://stock.example.com"
    assert webhook_url(channel) == f"https://stock.example.com/webhooks/{channel.public_id}/"
    assert len(channel.public_id) >= 32
