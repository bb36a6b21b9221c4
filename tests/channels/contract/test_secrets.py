"""Credentials stay where they are kept: in no log, error, page of the back office, history or other column."""

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from structlog.testing import capture_logs

from channels.connectors import connector_class
from channels.connectors.base import Connector
from channels.errors import ChannelError, Misconfigured
from tests.channels.contract.stand import Stand


def everything(connector: Connector) -> Iterator[Callable[[], Any]]:
    """Every kind of call that a connector makes to its platform."""
    yield connector.check
    yield lambda: connector.fetch_orders("")
    yield lambda: connector.fetch_order("1")
    yield lambda: list(connector.fetch_listings())
    yield lambda: list(connector.fetch_levels())
    yield connector.fetch_locations
    yield lambda: connector.audit_webhooks("https://stock.example.com/webhooks/x/")
    yield lambda: connector.register_webhooks("https://stock.example.com/webhooks/x/")


def secrets_of(stand: Stand) -> list[str]:
    """Returns what the channel identifies itself with."""
    names = {each.name for each in connector_class(stand.kind).credential_fields}
    return [text for name, text in stand.channel.credentials.items() if name in names]


def try_all(connector: Connector) -> Iterator[str]:
    """Makes every kind of call; yields what it answers or how it fails, in full."""
    for call in everything(connector):
        try:
            yield repr(call())
        except ChannelError as error:
            yield repr(error) + "".join(traceback.format_exception(error))


def test_no_credential_is_found_anywhere(
    stand: Stand, admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    stand.subscribe()
    shown = []
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        connector = stand.connector(deadline=2)
        shown += [repr(connector), repr(connector.account), str(connector.account), repr(connector.client)]
        for faults in ({"error_rate": 1.0}, {"drop_rate": 1.0}, {"html_rate": 1.0}, {}):
            stand.sandbox.clear_faults()
            stand.sandbox.set_faults(**faults)
            shown += try_all(connector)
    page = f"/admin/channels/channel/{stand.channel.pk}"
    for address in (f"{page}/change/", f"{page}/history/", "/admin/channels/channel/"):
        answer = admin_client.get(address)
        assert answer.status_code == 200
        shown.append(answer.content.decode())
    text = "\n".join([*shown, repr(logs), caplog.text])
    secrets = secrets_of(stand)
    assert secrets
    for secret in secrets:
        assert secret not in text
        assert not tables_holding(secret)


def tables_holding(text: str) -> list[str]:
    """Returns the tables in which any column of any row holds this text."""
    models = apps.get_models(include_auto_created=True)
    quoted = [connection.ops.quote_name(model._meta.db_table) for model in models]
    with connection.cursor() as cursor:
        one = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name} AS kept WHERE strpos(kept::text, %s) > 0)"
            for name in quoted
        )
        cursor.execute(one, [text] * len(quoted))
        return [name for (name,) in cursor.fetchall()]


def test_the_search_would_find_one(stand: Stand) -> None:
    stand.channel.name = f"Shop {secrets_of(stand)[0]}"
    stand.channel.save()
    assert '"channels_channel"' in tables_holding(secrets_of(stand)[0])


def test_a_missing_credential_is_named(stand: Stand) -> None:
    required = [each for each in connector_class(stand.kind).credential_fields if each.is_required]
    assert required
    stand.channel.credentials = {}
    with pytest.raises(Misconfigured, match=required[0].label):
        stand.connector()
