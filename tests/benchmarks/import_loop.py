"""What the process does that imports a catalogue, or only copies its rows."""

import resource
import time
from contextlib import closing
from typing import Any, Final

from django.conf import settings
from django.db import connection

from channels.accounts import open_connector
from channels.connectors.shopify.connector import ShopifyConnector
from channels.importing import import_channel
from channels.matching import find_matches
from channels.models import Channel

_COLUMNS: Final = "external_id, sku, gtin, title"


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Imports or copies the catalogue of a channel; returns how long that took, and the most memory so far."""
    settings.ALLOW_LOOPBACK_PLATFORMS = True  # the simulated shop
    channel = Channel.objects.get(pk=job["channel"])
    connector = open_connector(channel)
    assert isinstance(connector, ShopifyConnector)
    before, began = _peak_mb(), time.perf_counter()
    if job["what"] == "import":
        import_channel(channel, connector, match=find_matches)
    else:
        _copy(connector)
    return {"seconds": time.perf_counter() - began, "peak_mb": _peak_mb(), "before_mb": before}


def _copy(connector: ShopifyConnector) -> None:
    """Writes the rows of the same file into a bare table; on a connection of its own, since reading needs one too."""
    own = connection.copy()
    with closing(own), own.cursor() as cursor:
        cursor.execute(
            "CREATE UNLOGGED TABLE raw_listings (external_id text NOT NULL, sku text, gtin text, title text)"
        )
        with cursor.copy(f"COPY raw_listings ({_COLUMNS}) FROM STDIN") as copy:
            for each in connector.fetch_listings():
                copy.write_row((each.external_id, each.sku, each.gtin, each.title))


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)
