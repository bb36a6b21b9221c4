"""What a channel may say of when goods arrive at its customer: "within 2 to 4 days".

Counted from what the locations behind the channel's places have, and from what is confirmed or on its way to them. None of
the platforms takes such a text or day with its stock: it is shown and given to whoever asks.
"""

from collections.abc import Collection

from channels.models import Channel
from channels.sourcing import serving_ids
from inventory.eta import LeadTime
from inventory.promising import eta_texts


def lead_time_of(channel: Channel) -> LeadTime | None:
    """Returns how long goods take from stock to the channel's customer; None where nobody has said so."""
    if channel.delivery_days_from is None or channel.delivery_days_to is None:
        return None
    return LeadTime(channel.delivery_days_from, channel.delivery_days_to)


def arrival_texts(channel: Channel, variant_ids: Collection[int]) -> dict[int, str]:
    """Returns what may be said of these variants; nothing where nobody has said how long the way takes."""
    lead_time = lead_time_of(channel)
    if lead_time is None or not variant_ids:
        return {}
    return eta_texts(channel.merchant_id, variant_ids, lead_time, location_ids=serving_ids(channel))
