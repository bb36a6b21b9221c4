"""One merchant's channel at a simulated shop, over real HTTP: what the contract plays on."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import transaction
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from channels.accounts import open_connector
from channels.connectors.base import Address, Capabilities, Connector, InboundRequest, PushItem
from channels.deliveries import accept, process_due
from channels.errors import BadMessage, BadSignature
from channels.feeds import ask_for_poll, ensure_feeds, lease_due_feed
from channels.fetching import fetch_due
from channels.importing import import_channel
from channels.models import Channel, ChannelLocation, ListingLevel
from channels.polling import poll_feed
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem
from channels.subscriptions import register
from channels.tasks import apply_mapped
from tests.channels.connectors.shops import Inbox
from tests.channels.contract.adapters import Adapter, adapter_of
from tests.channels.shop import Shop, ledger_of, open_shop

#: What the merchant has, and its shop shows.
STOCK: Final = {"MUG": 10, "CUP": 10}
#: Nobody waits this long unless the test fails.
PATIENCE: Final = 8.0
#: Headers that a client writes by itself.
_OF_THE_CLIENT: Final = frozenset({"host", "content-length", "content-type", "connection", "accept-encoding"})


@dataclass
class Stand:
    """A shop, a channel that is connected to it, and an inbox for what the shop posts."""

    kind: str
    adapter: Adapter
    #: The simulated shop. Each has ways of its own beside what all have.
    sandbox: Any
    shop: Shop
    inbox: Inbox
    client: Client = field(default_factory=Client)

    @property
    def channel(self) -> Channel:
        return self.shop.channel

    @property
    def able(self) -> Capabilities:
        """What the connector declares."""
        return self.connector().capabilities

    def connector(self, **options: Any) -> Connector:
        """Opens the channel's connector."""
        return open_connector(self.channel, **options)

    # -- setting up
    def connect(self) -> None:
        """Gives the channel the shop's credentials, and puts the merchant's location behind its own places."""
        channel = self.channel
        channel.settings, channel.credentials = self.sandbox.settings(), self.sandbox.credentials()
        channel.save()
        places = self.connector().fetch_locations()
        ChannelLocation.objects.filter(channel=channel).exclude(
            external_id__in=[place.external_id for place in places]
        ).delete()
        for place in places:
            if place.external_id and not place.is_foreign:
                self.shop.add_source(self.shop.locations["main"], place.external_id)
        self.read_listings()

    def read_listings(self) -> None:
        """Reads what the shop sells, maps it, and applies what waited for that."""
        import_channel(self.channel, self.connector())
        apply_mapped(self.shop.merchant.pk)

    def subscribe(self) -> None:
        """Has the shop send its messages to the inbox, or into its queue; they share a secret then, where it takes one."""
        if self.able.manages_subscriptions:
            register(self.channel, self.connector())

    # -- messages
    def bring(self) -> None:
        """Brings what the shop has to say: by its messages where it has any, else by a poll."""
        for message in self.messages() if self.able.order_webhooks else ():
            assert self.deliver(message) == 200
        self.work_off()
        if not self.able.order_webhooks:
            self.poll()

    def messages(self, *, until: Callable[[list[InboundRequest]], object] = bool) -> list[InboundRequest]:
        """Returns what the shop has sent, once it says no more and that is enough."""
        found: list[InboundRequest] = []
        limit = time.monotonic() + PATIENCE
        while True:
            new = self._taken() if self.able.message_queue else self._posted()
            found += new
            if not new and until(found):
                return found
            assert time.monotonic() < limit, f"{self.kind} sent nothing of this: {found}"
            time.sleep(0.01)

    def _posted(self) -> list[InboundRequest]:
        is_idle = self.sandbox.is_idle()
        # Pings are forms.
        found = [each for each in self.inbox.take_all() if each.body.startswith(b"{")]
        return found if found or is_idle else self._posted_later()

    def _posted_later(self) -> list[InboundRequest]:
        time.sleep(0.02)
        return self._posted()

    def _taken(self) -> list[InboundRequest]:
        connector = self.connector()
        taken = connector.take_messages(seconds=0.2)
        connector.acknowledge([each.receipt for each in taken])
        headers = {"content-type": "application/json"}
        return [InboundRequest(headers, each.body, timezone.now(), is_queued=True) for each in taken]

    def deliver(self, message: InboundRequest) -> int:
        """Brings a message to our door, as it came; returns the status of the answer."""
        if not message.is_queued:
            headers = {name: text for name, text in message.headers.items() if name not in _OF_THE_CLIENT}
            address = f"/webhooks/{self.channel.public_id}/"
            kind = message.headers.get("content-type", "application/json")
            return self.client.post(address, message.body, content_type=kind, headers=headers).status_code
        try:
            accept(self.channel, replace(message, received_at=timezone.now()))
        except (BadSignature, BadMessage) as error:
            return 401 if isinstance(error, BadSignature) else 400
        return 200

    def work_off(self) -> None:
        """Processes what was delivered, and fetches the orders that it only hints at."""
        while process_due() + fetch_due(self.channel, self.connector()):
            pass

    def poll(self) -> None:
        """Reads the orders that changed."""
        ensure_feeds()
        ask_for_poll(self.channel.pk)
        feed = lease_due_feed(self.channel.pk)
        assert feed is not None
        poll_feed(feed, self.connector())
        feed.refresh_from_db()
        assert not feed.last_error, feed.last_error
        self.work_off()

    def ledger_after(self, messages: Sequence[InboundRequest]) -> dict[str, object]:
        """Returns what the ledger would hold after these messages and a poll; nothing of it remains."""
        with transaction.atomic():
            for message in messages:
                assert self.deliver(message) == 200
                self.work_off()
            self.poll()
            found = ledger_of(self.shop.merchant)
            transaction.set_rollback(True)
        return {name: found[name] for name in ("levels", "reservations", "conflicts")}

    # -- numbers
    def level(self, sku: str) -> ListingLevel:
        """Returns the listing level of what is sold under this SKU."""
        found = ListingLevel.objects.select_related("listing", "channel_location")
        return found.filter(listing__channel=self.channel, listing__sku=sku).order_by("id")[0]

    def item(self, sku: str, quantity: int, **changes: Any) -> PushItem:
        """Makes a number to tell; changes are the address's."""
        level = self.level(sku)
        address = Address(
            level.pk,
            level.listing.external_id,
            level.listing.parent_external_id,
            level.channel_location.external_id,
            level.listing.data,
        )
        return PushItem(replace(address, **changes), quantity, as_of=timezone.now())

    def until_shown(self, sku: str, quantity: int) -> None:
        """Waits until the shop shows a number: some take a moment after they have accepted it."""
        limit = time.monotonic() + PATIENCE
        while (shown := self.sandbox.number(sku)) != quantity:
            assert time.monotonic() < limit, f"{self.kind} shows {shown} of {sku}, not {quantity}"
            time.sleep(0.01)

    @property
    def calls(self) -> int:
        """How many calls the shop has had."""
        return sum(self.sandbox.requests.values())


@contextmanager
def stand_of(kind: str, *, goods: Sequence[CatalogueItem] = (), **options: Any) -> Iterator[Stand]:
    """Opens a stand; at the end everything that the shop was sent is compared with the vendor's schema."""
    adapter = adapter_of(kind)
    with (
        Inbox.open() as inbox,
        override_settings(PUBLIC_URL=inbox.root),
        SANDBOXES[kind](**{"profile": INSTANT, "limits": "generous", **options}) as sandbox,
    ):
        adapter.prepare(sandbox)
        sandbox.add_location("main", "Main")
        listed = [CatalogueItem(sku, sku.title(), quantities={"main": n}) for sku, n in STOCK.items()]
        sandbox.load_catalogue([*listed, *goods])
        stand = Stand(kind, adapter, sandbox, open_shop(STOCK, kind=kind), inbox)
        stand.connect()
        yield stand
        adapter.check_requests(sandbox)
