"""How a channel is doing, in one word: the same on its own page, in the list and on the dashboard."""

from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.safestring import SafeString

from channels.models import Channel, ChannelHealth
from config.admin_panels import badge

TONES: Final = {
    "connected": "good",
    "degraded": "warning",
    "down": "bad",
    "paused": "warning",
    "shadow": "warning",
}


def condition(
    *,
    is_active: bool,
    is_paused: bool,
    in_shadow: bool,
    down_until: datetime | None,
    has_trouble: bool,
    was_reached: bool,
) -> str:
    """Returns off, shadow, paused, down, degraded, new or connected: the first that holds."""
    if not is_active:
        return "off"
    if in_shadow:
        return "shadow"
    if is_paused:
        return "paused"
    if down_until and down_until > timezone.now():
        return "down"
    if has_trouble:
        return "degraded"
    return "connected" if was_reached else "new"


def health_of(channel: Channel) -> ChannelHealth:
    """Returns the channel's health, an empty one where it was never contacted."""
    return channel.health if hasattr(channel, "health") else ChannelHealth(channel=channel)


def condition_of(channel: Channel) -> str:
    """Returns the word for a channel read with its health."""
    health = health_of(channel)
    return condition(
        is_active=channel.is_active,
        is_paused=channel.is_paused,
        in_shadow=channel.in_shadow,
        down_until=health.breaker_open_until,
        has_trouble=bool(health.consecutive_failures or health.subscription_problems),
        was_reached=bool(health.last_success_at or health.last_push_at or health.last_poll_at),
    )


def condition_badge(word: str) -> SafeString:
    """Returns the word as it stands out."""
    return badge(word, TONES.get(word, "neutral"))
