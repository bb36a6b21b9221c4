"""Which channels are simulated shops: what test keys may touch."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from channels.models import Channel
from channels.own_systems import KIND, SIMULATED


def is_simulated(channel: Channel) -> bool:
    """Returns whether a channel only plays: its platform lies on this machine, or whoever connected it said so."""
    if channel.kind == KIND:
        return bool(channel.settings.get(SIMULATED))
    addresses = [str(value) for name, value in channel.settings.items() if name.endswith("_url") and value]
    return bool(addresses) and all(map(_is_here, addresses))


def _is_here(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def simulated_ids(merchant_id: int) -> list[int]:
    """Returns the simulated channels of a merchant; one statement."""
    return [each.pk for each in _channels(merchant_id) if is_simulated(each)]


def has_live_channel(merchant_id: int) -> bool:
    """Returns whether a merchant has a channel, switched off or not, that is not simulated; one statement."""
    return any(not is_simulated(each) for each in _channels(merchant_id))


def _channels(merchant_id: int) -> list[Channel]:
    return list(Channel.objects.filter(merchant_id=merchant_id).only("id", "kind", "settings"))
