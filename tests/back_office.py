"""Rows for every page of the back office, and people in its roles."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group, User
from django.utils import timezone

from channels.models import (
    AccessToken,
    Authority,
    BundleChange,
    Channel,
    ChannelGroup,
    ChannelHealth,
    ChannelLag,
    ChannelLocation,
    ChannelOrder,
    ChannelOrderLine,
    ErrorEntry,
    FulfilmentRequest,
    Heartbeat,
    LagDemand,
    Listing,
    ListingLevel,
    ListingMatch,
    ListingRank,
    ListingStanding,
    Mutation,
    MutationFuse,
    Onboarding,
    OrderAcknowledgement,
    Pin,
    PollFeed,
    PoolHold,
    PoolUse,
    Push,
    RateBucket,
    Rehearsal,
    Retry,
    Rule,
    RuleSet,
    RuleSetActivation,
    RuleSetVersion,
    ShadowRun,
    ShadowSpan,
    ShelfObservation,
    StatedLevel,
    WarehouseArrival,
    WarehouseOrder,
    WebhookDelivery,
)
from channels.rehearsals.tally import Tally
from config.models import DeadTask
from inventory import changes
from inventory.access import KeyTerms, issue
from inventory.backorders import promise
from inventory.bundles import Component, define
from inventory.checkpoints import write
from inventory.demands import DemandChange, settle
from inventory.inbound_rows import PromiseTerms
from inventory.ledger import Context
from inventory.models import (
    ApiAnswer,
    ApiKey,
    BundleKind,
    Change,
    ChangeKind,
    Conflict,
    CountSheet,
    CountSheetLine,
    CustomerReturn,
    FeedMark,
    ImportedRow,
    ImportJob,
    Location,
    Merchant,
    PurchaseOrder,
    PurchaseOrderLine,
    Reservation,
    ReturnLine,
    SafetyStockChange,
    StockLevel,
    StockMovement,
    Supplier,
    Tag,
    Transfer,
    TransferLine,
    UnitOfMeasure,
    Variant,
    VariantTag,
)
from inventory.purchasing import LineConfirmation, confirm_lines, place
from inventory.reservations import Demand
from inventory.stock import StockLine, receive
from reconciliation.models import (
    Alert,
    AlertDelivery,
    AlertRecipient,
    ConflictCase,
    ConflictPolicy,
    Discrepancy,
    ProofRun,
    ProvenCheckpoint,
    ReconciliationPolicy,
    ReconciliationRun,
    ReconciliationSchedule,
    Resolution,
    StockAuthority,
    WatchGap,
    WebhookCursor,
    WebhookEvent,
    WebhookMessage,
    WebhookSubscription,
)
from tests.analytics.growing import measure
from tests.factories import (
    ChannelFactory,
    ChannelLocationSourceFactory,
    LocationFactory,
    MerchantFactory,
    VariantFactory,
)
from tests.worlds import world

_serial = count(1)

#: Stands in the credentials of every channel here; must never be seen on a page.
SECRET = "s3cret-that-nobody-may-read"


def person(role: str) -> User:
    """Returns somebody in a role of the back office; `superuser` may do everything."""
    name = f"{role}-{next(_serial)}"
    if role == "superuser":
        return User.objects.create_superuser(name, password=None)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@dataclass
class Business:
    """A merchant with stock and channels; `grow` adds one row to every table of all apps."""

    merchant: Merchant = field(default_factory=MerchantFactory)
    variants: list[Variant] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    #: A place that is not in use.
    elsewhere: Location | None = None

    @classmethod
    def grown(cls, times: int = 1) -> "Business":
        """Returns a business of its own with so many rows in every table; most of the time they are but copied."""
        return world(f"business_{times}", lambda: cls().grow(times))

    def grow(self, times: int = 1) -> "Business":
        """Adds so many rows to every table: each time a channel with all that belongs to it."""
        for _ in range(times):
            self._grow_once()
        return self

    def _grow_once(self) -> None:
        MutationFuse.objects.create(merchant=MerchantFactory())
        variant = VariantFactory(merchant=self.merchant)
        location = LocationFactory(merchant=self.merchant)
        self.variants.append(variant)
        self.locations.append(location)
        channel = self.add_channel()
        line = self.add_order(channel, variant)
        self.move(variant, location, line)
        level = self.list_on(channel, variant, location)
        self.add_documents(variant, location)
        self.buy(VariantFactory(merchant=self.merchant), location, line)
        self.rule_on(level, variant)
        self.bundle(variant)
        self.note_change(variant, location)
        self.decide(channel, line)
        self.note_retry(channel)
        measure(StockLevel.objects.get(variant=variant, location=location), channel)
        self.watch(channel)
        self.compare(level, location)
        self.shadow(level)
        self.keep(level)
        UnitOfMeasure.objects.create(
            merchant=self.merchant, code=f"u{next(_serial)}", base_code="g", base_units=7
        )
        self.open_the_api()
        self.tell_systems()
        now = timezone.now()
        DeadTask.objects.create(payload=f"task {next(_serial)}", takes=5, first_at=now, last_at=now)

    def add_documents(self, variant: Variant, location: Location) -> None:
        """Adds a draft of a transfer, an announced return, a count sheet and an imported row; none of them moves stock."""
        if self.elsewhere is None:
            self.elsewhere = LocationFactory(merchant=self.merchant, is_active=False)
        now, owner = timezone.now(), {"merchant": self.merchant}
        transfer = Transfer.objects.create(**owner, source=location, destination=self.elsewhere, key=uuid4())
        TransferLine.objects.create(transfer=transfer, variant=variant, quantity=1)
        parcel = CustomerReturn.objects.create(**owner, reference=f"RMA-{transfer.pk}")
        ReturnLine.objects.create(
            customer_return=parcel, variant=variant, location=location, announced_quantity=1
        )
        sheet = CountSheet.objects.create(**owner, location=location, key=uuid4(), printed_at=now)
        CountSheetLine.objects.create(sheet=sheet, variant=variant, expected_quantity=1)
        movement = StockMovement.objects.filter(level__variant=variant).latest("id")
        ImportedRow.objects.create(
            **owner,
            key=f"test:{transfer.pk}",
            kind="receipt",
            operation_id=movement.operation_id,
            level_id=movement.level_id,
            occurred_at=now,
        )

    def buy(self, variant: Variant, location: Location, line: ChannelOrderLine) -> PurchaseOrder:
        """Orders twenty units of a variant at a supplier of its own; some are promised, alone and in a kit."""
        number = next(_serial)
        supplier = Supplier.objects.create(merchant=self.merchant, code=f"supplier-{number}", name="Supplier")
        order = PurchaseOrder.objects.create(
            merchant=self.merchant, supplier=supplier, number=f"PO-{number}", location=location
        )
        bought = PurchaseOrderLine.objects.create(order=order, variant=variant, quantity=20)
        place(self.merchant.pk, order.pk)
        on = timezone.localdate() + timedelta(days=3)
        confirm_lines(self.context(), [LineConfirmation(bought.pk, 20, on)])
        demand = Demand(line.reference, variant.pk, 1, (location.pk,))
        promise(self.context(), [demand], PromiseTerms(on, "the tests"))
        kit = VariantFactory(merchant=self.merchant)
        define(self.context(), kit.pk, BundleKind.KIT, [Component(variant.pk, 2)])
        demand = Demand(f"cart-{kit.pk}", kit.pk, 1, (location.pk,))
        promise(self.context(), [demand], PromiseTerms(on, "the tests"))
        return order

    def rule_on(self, level: ListingLevel, variant: Variant) -> RuleSetVersion:
        """Adds rules that were in force, a pin that has ended, and everything that rules go by; no number changes."""
        number, now = next(_serial), timezone.now()
        tag = Tag.objects.create(merchant=self.merchant, name=f"tag {number}")
        VariantTag.objects.create(tag=tag, variant=variant)
        group = ChannelGroup.objects.create(merchant=self.merchant, name=f"group {number}")
        group.channels.add(level.channel)
        PoolUse.objects.create(group=group, variant=variant, units=1)
        reservation = Reservation.objects.filter(variant=variant).latest("id")
        PoolHold.objects.create(group=group, variant=variant, reservation=reservation, held_at=now)
        rule_set = RuleSet.objects.create(merchant=self.merchant, name=f"rules {number}")
        version = RuleSetVersion.objects.create(rule_set=rule_set, number=1, state="retired")
        Rehearsal.objects.create(
            merchant=self.merchant,
            version=version,
            since=now - timedelta(days=7),
            until=now,
            state="done",
            result=Tally().result(seconds_replayed=1),
        )
        Rule.objects.create(version=version, tag=tag, group=group, maximum=7)
        Rule.objects.create(version=version, variant=variant, pool=group, pool_units=3)
        RuleSetActivation.objects.create(
            rule_set=rule_set, version=version, began_at=now, began_by="test", ended_at=now
        )
        ListingRank.objects.create(listing=level.listing, rank=1)
        ListingStanding.objects.create(listing_level=level, position=1, listings=1, shelf=1, shelves=1)
        ChannelLag.objects.create(channel=level.channel, seconds=1.5, samples=30, measured_at=now)
        LagDemand.objects.create(channel=level.channel, variant=variant, q90=0, q95=1, q99=2)
        Pin.objects.create(
            listing_level=level,
            quantity=4,
            reason="a test",
            owner="test",
            created_at=now,
            expires_at=now + timedelta(days=1),
            ended_at=now,
        )
        Mutation.objects.create(
            merchant=self.merchant,
            kind="rules",
            state="applied",
            version=version,
            summary=f"{version} comes into force",
            listing_ids=[level.listing_id],
            listings=1,
            changed_before=0,
            allowed=50,
            at=now,
        )
        return version

    def bundle(self, part: Variant) -> Variant:
        """Adds a kit of three of a variant."""
        kit = VariantFactory(merchant=self.merchant)
        define(self.context(), kit.pk, BundleKind.KIT, [Component(part.pk, 3)])
        return kit

    def note_change(self, part: Variant, location: Location) -> None:
        """Notes a change of a part that no bundle has been marked for yet."""
        BundleChange.objects.create(
            merchant_id=self.merchant.pk,
            variant_id=part.pk,
            location_id=location.pk,
            available_delta=-1,
            available_after=4,
            created_at=timezone.now(),
        )

    def decide(self, channel: Channel, line: ChannelOrderLine) -> Resolution:
        """Judges what an order is owed, has it cancelled by hand, and gives the channel a policy that is off."""
        now = timezone.now()
        conflict = Conflict.objects.get(merchant=self.merchant, reference=line.reference)
        ConflictCase.objects.create(
            conflict=conflict,
            merchant=self.merchant,
            channel=channel,
            cause_class="true_race",
            evidence="Two orders within a second.",
            examined_at=now,
        )
        ConflictPolicy.objects.create(channel=channel)
        return Resolution.objects.create(
            merchant=self.merchant,
            key=f"test:{conflict.pk}",
            conflict=conflict,
            channel=channel,
            remedy="cancel",
            target=str(line.pk),
            summary="Cancel by hand",
            quantity=1,
            state="checklist",
            checklist="Cancel it there.",
            requested_at=now,
        )

    def shadow(self, level: ListingLevel) -> ShadowRun:
        """Adds a span in shadow mode that is over, in which a shelf showed too much."""
        now = timezone.now()
        began_at = now - timedelta(hours=2)
        Onboarding.objects.create(
            channel=level.channel, shop="A shop", tested_at=began_at, limits={"calls": [4, 2]}
        )
        run = ShadowRun.objects.create(
            channel=level.channel, began_at=began_at, began_by="test", ended_at=now, outcome="live"
        )
        ShadowSpan.objects.create(
            run=run, listing_level=level, would=3, shown=5, began_at=began_at, ended_at=now, said_at=now
        )
        return run

    def note_retry(self, channel: Channel) -> None:
        """Notes work of a channel that others are in the way of."""
        now = timezone.now()
        Retry.objects.create(
            merchant=self.merchant,
            channel=channel,
            kind="order",
            key=f"{channel.pk}:1",
            reason="deadlock",
            first_at=now,
            last_at=now,
        )

    def watch(self, channel: Channel) -> Alert:
        """Adds a failure, a sign of life, an open alert that somebody was told of, and a proof of the ledger."""
        number, now = next(_serial), timezone.now()
        ErrorEntry.objects.create(
            channel=channel,
            at=now,
            job="poll",
            call="GET shop.example/orders",
            status=503,
            code="unavailable",
            message="The platform is not available (503).",
            object_label="channels.channel",
            object_id=channel.pk,
        )
        Heartbeat.objects.create(name=f"process-{number}", beat_at=now)
        alert = Alert.objects.create(
            merchant=self.merchant,
            channel=channel,
            kind="channel_down",
            severity=1,
            title=f"{channel.name}: connection: stopped",
            evidence={"failures_in_a_row": 3},
            opened_at=now,
            last_seen_at=now,
        )
        secrets: Any = [{"secret": SECRET, "valid_until": None}]
        recipient = AlertRecipient.objects.create(
            merchant=self.merchant,
            kind="webhook",
            address=f"https://ops.example/{number}",
            secrets=secrets,
        )
        AlertDelivery.objects.create(
            alert=alert, recipient=recipient, event="alert.opened", created_at=now, sent_at=now
        )
        WatchGap.objects.create(began_at=now - timedelta(hours=1), ended_at=now)
        run = ProofRun.objects.create(
            scope="full",
            state="held",
            started_at=now,
            finished_at=now,
            steps=[["documents", 0]],
            position=1,
            digest="0" * 64,
        )
        ProvenCheckpoint.objects.create(
            merchant=self.merchant, run=run, at=now, digest="0" * 64, proven_at=now
        )
        return alert

    def open_the_api(self) -> ApiKey:
        """Adds a key, an answer that was given, a file that was taken in, and a change that was told."""
        number, now = next(_serial), timezone.now()
        key, _text = issue(self.merchant, KeyTerms(f"system {number}", ["stock:read"]), by="test")
        ApiAnswer.objects.create(
            merchant=self.merchant,
            key=f"answer-{number}",
            digest="0" * 64,
            status=200,
            body="{}",
            created_at=now,
        )
        ImportJob.objects.create(
            merchant=self.merchant, name=f"stock-{number}.csv", state="done", finished_at=now
        )
        FeedMark.objects.create(name=f"mark-{number}")
        mark, _ = FeedMark.objects.get_or_create(name=changes.POSITION)
        mark.value += 1
        mark.save()
        Change.objects.create(
            position=mark.value,
            merchant=self.merchant,
            kind=ChangeKind.VARIANT,
            variant=self.variants[-1],
            happened_at=now,
        )
        return key

    def tell_systems(self) -> WebhookMessage:
        """Adds a message that arrived at a system that is told nothing more, and somebody's place in the feed."""
        number, now = next(_serial), timezone.now()
        secrets: Any = [{"secret": SECRET, "valid_until": None}]
        subscription = WebhookSubscription.objects.create(
            merchant=self.merchant,
            url=f"https://erp.example/{number}",
            events=["order.*"],
            secrets=secrets,
            is_active=False,
            disabled_at=now,
        )
        event = WebhookEvent.objects.create(
            merchant=self.merchant,
            type="order.created",
            subject=f"order:{number}",
            version=number,
            data={"id": number},
            occurred_at=now,
            made_at=now,
        )
        WebhookCursor.objects.create(merchant=MerchantFactory(), position=0, moved_at=now)
        return WebhookMessage.objects.create(
            merchant=self.merchant,
            event=event,
            subscription=subscription,
            created_at=now,
            wanted_at=now,
            attempts=1,
            arrived_at=now,
            status=204,
            log=[{"at": now.isoformat(), "milliseconds": 12, "status": 204, "error": ""}],
        )

    def compare(self, level: ListingLevel, location: Location) -> Discrepancy:
        """Adds a run that found the shelf to differ, and what decides when and how a channel is compared."""
        channel, now = level.channel, timezone.now()
        ReconciliationPolicy.objects.create(channel=channel)
        schedule = ReconciliationSchedule.objects.create(
            channel=channel, kind="incremental", every_minutes=15, next_run_at=now + timedelta(minutes=15)
        )
        StockAuthority.objects.create(merchant=self.merchant, location=location, name=f"ERP {location.code}")
        run = ReconciliationRun.objects.create(
            channel=channel,
            kind="incremental",
            state="done",
            schedule=schedule,
            asked_at=now,
            started_at=now,
            finished_at=now,
            compared=1,
            drifted=1,
        )
        return Discrepancy.objects.create(
            merchant=self.merchant,
            channel=channel,
            listing_level=level,
            run=run,
            shown=5,
            expected=7,
            cause="foreign_edit",
            evidence={"Last push": "Confirmed: 7"},
            first_seen_at=now,
            last_seen_at=now,
        )

    def keep(self, level: ListingLevel) -> Authority:
        """Gives a warehouse the say over a location of its own: what it said, what it was asked, what came in."""
        location, place = LocationFactory(merchant=self.merchant), level.channel_location
        authority = Authority.objects.create(location=location, place=place)
        StatedLevel.objects.create(
            authority=authority, listing=level.listing, free=3, stock=5, remark="A test."
        )
        request = FulfilmentRequest.objects.filter(order__channel__merchant=self.merchant).latest("id")
        WarehouseOrder.objects.create(
            channel=level.channel,
            request=request,
            external_id=f"order-{next(_serial)}",
            reference=f"OC-{request.pk}-1",
            goods={level.listing.external_id: 2},
        )
        WarehouseArrival.objects.create(
            channel=level.channel, kind="receipt", document="R00001", external_id=f"{level.pk}", units=4
        )
        return authority

    def context(self) -> Context:
        """Returns a context under a key that nobody used."""
        return Context(self.merchant.pk, f"test:{uuid4()}", actor="test", source="tests")

    def move(self, variant: Variant, location: Location, line: ChannelOrderLine) -> None:
        """Receives ten units and sells twelve: ten are reserved, two are owed. Takes a checkpoint."""
        receive(self.context(), [StockLine(variant.pk, location.pk, 10)])
        settle(self.context(), [DemandChange(line.reference, variant.pk, (location.pk,), wanted=12)])
        now = timezone.now()
        level = StockLevel.objects.get(variant=variant, location=location)
        SafetyStockChange.objects.create(
            merchant=self.merchant, level=level, before=0, after=0, changed_at=now
        )
        write(self.merchant.pk, now)

    def add_channel(self) -> Channel:
        """Adds a channel with credentials, health, token, bucket, feed and a dead delivery."""
        now = timezone.now()
        channel = ChannelFactory(merchant=self.merchant, credentials={"consumer_secret": SECRET})
        ChannelHealth.objects.create(channel=channel, last_push_at=now, last_webhook_at=now, last_poll_at=now)
        token: Any = {"access_token": SECRET}
        AccessToken.objects.create(channel=channel, token=token, expires_at=now)
        RateBucket.objects.create(
            channel=channel, name="calls", capacity=10, refill_per_second=1, tokens=5, updated_at=now
        )
        PollFeed.objects.create(channel=channel, name="orders", next_poll_at=now)
        self.add_delivery(channel, state="dead")
        self.channels.append(channel)
        return channel

    def add_delivery(self, channel: Channel, state: str) -> WebhookDelivery:
        """Adds a delivery in a state."""
        return WebhookDelivery.objects.create(
            channel=channel,
            dedupe_key=str(uuid4()),
            topic="order.updated",
            payload={"id": 1},
            state=state,
            received_at=timezone.now(),
            error="Somebody has to look at this." if state == "dead" else "",
        )

    def add_order(self, channel: Channel, variant: Variant | None, sku: str = "") -> ChannelOrderLine:
        """Adds an order of twelve units of one variant, applied and on every shelf after two seconds."""
        number = next(_serial)
        arrived_at = timezone.now() - timedelta(minutes=1)
        order = ChannelOrder.objects.create(
            channel=channel,
            external_id=f"order-{number}",
            number=f"#{number}",
            arrived_at=arrived_at,
            ordered_at=arrived_at,
            applied_at=arrived_at if variant else None,
            propagated_at=arrived_at + timedelta(seconds=2) if variant else None,
        )
        OrderAcknowledgement.objects.create(
            order=order, channel=channel, about="0" * 64, asked_at=arrived_at, due_at=arrived_at,
            lines={"1": {"accepted": 12}}, waits_for="12 units are not held.",
        )  # fmt: skip
        return ChannelOrderLine.objects.create(
            order=order,
            external_id="1",
            listing_external_id=f"thing-{number}",
            sku=sku or (variant.sku if variant else f"unknown-{number}"),
            variant=variant,
            quantity=12,
            applied_demand=12 if variant else 0,
        )

    def list_on(self, channel: Channel, variant: Variant, location: Location) -> ListingLevel:
        """Lists the variant on the channel, with a shelf that was told 7 and one push in its log."""
        now = timezone.now()
        place = ChannelLocation.objects.create(channel=channel, external_id=f"place-{next(_serial)}")
        ChannelLocationSourceFactory(channel_location=place, location=location)
        listing = Listing.objects.create(
            channel=channel, variant=variant, external_id=f"listing-{next(_serial)}", sku=variant.sku
        )
        unknown = Listing.objects.create(
            channel=channel, external_id=f"listing-{next(_serial)}", sku=f"ODD-{next(_serial)}"
        )
        ListingMatch.objects.create(
            listing=unknown, variant=variant, basis="title", confidence=71, found_at=now
        )
        level = ListingLevel.objects.create(
            channel=channel,
            listing=listing,
            channel_location=place,
            sent_quantity=7,
            published_quantity=7,
            expected=7,
            confirmed_at=now,
        )
        self.log_push(level)
        ShelfObservation.objects.create(
            channel=channel, listing_level=level, quantity=7, expected=7, observed_at=now, received_at=now
        )
        return level

    def log_push(self, level: ListingLevel) -> Push:
        """Adds a confirmed push of 7 to the shelf's log."""
        now = timezone.now()
        return Push.objects.create(
            channel=level.channel,
            listing_level=level,
            call_id=uuid4(),
            wanted=1,
            target=7,
            quantity=7,
            outcome="confirmed",
            waterfall=[],
            computed_at=now,
            finished_at=now,
        )
