"""What is offered for direct fulfilment: units of each listing in each warehouse, as they are now.

Every update is partial (`isFullUpdate: false`), whatever it holds: a full one would have Amazon take everything that it
leaves out for sold out, and no push of ours ever knows that it is complete. Amazon shows nobody what it was told, so that an
update counts as live once its transaction has succeeded.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import Call, NotThere, SellingPartnerApi
from channels.connectors.amazon_vendor import transactions
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.identities import DIRECT
from channels.connectors.amazon_vendor.transactions import Transaction
from channels.connectors.base import AcceptedPush, ItemOutcome, PushItem, PushResult
from channels.connectors.pushing import push_in_calls, result_of
from channels.errors import Rejected, Throttled, TransientError

#: Listings in one update; Amazon names no limit.
BATCH_SIZE: Final = 100
#: Amazon names no limit; more than any vendor has of one thing.
LARGEST_QUANTITY: Final = 99_999_999
#: An update that Amazon still works on by then may be lost: it is told again.
LONGEST_WAIT: Final = timedelta(minutes=5)

_UPDATE: Final = "direct-inventory"
_PATH: Final = "/vendor/directFulfillment/inventory/v1/warehouses"


def push(api: SellingPartnerApi, account: VendorAccount, items: Sequence[PushItem]) -> list[PushResult]:
    """Tells Amazon these numbers, one call a warehouse."""
    by_warehouse: defaultdict[str, list[PushItem]] = defaultdict(list)
    refused = []
    for item in items:
        fault = _fault(account, item)
        if fault:
            refused.append(result_of(item, ItemOutcome.REJECTED, fault))
        else:
            by_warehouse[item.address.location_external_id].append(item)
    calls = [by_warehouse[warehouse] for warehouse in sorted(by_warehouse)]
    return refused + push_in_calls(calls, lambda part: _update(api, account, part))


def _fault(account: VendorAccount, item: PushItem) -> str:
    """Says why an item cannot be sent, whatever Amazon says of it; empty when it can."""
    place = item.address.location_external_id
    if place not in account.warehouses:
        return f"{place or 'The place'} is no warehouse of direct fulfilment by the channel's settings."
    if not item.address.listing_external_id:
        return "The listing has no ASIN."
    if type(item.quantity) is not int or not 0 <= item.quantity <= LARGEST_QUANTITY:
        return f"{item.quantity} is not a number of units from 0 to {LARGEST_QUANTITY}."
    return ""


def _update(api: SellingPartnerApi, account: VendorAccount, items: Sequence[PushItem]) -> list[PushResult]:
    warehouse = quote(items[0].address.location_external_id, safe="")
    call = Call("POST", f"{_PATH}/{warehouse}/items", _UPDATE, body=partial_update(account, items))
    try:
        answer = api.call(call)
    except NotThere as error:
        return [result_of(item, ItemOutcome.REJECTED, str(error)) for item in items]
    except Rejected as error:
        # Which of them it is about is not said: they go in smaller and smaller company from now on.
        outcome = ItemOutcome.REJECTED if len(items) == 1 else ItemOutcome.RETRY
        return [result_of(item, outcome, str(error)) for item in items]
    transaction_id = transactions.taken(answer)
    return [
        PushResult(
            item.address.listing_level_id,
            ItemOutcome.ACCEPTED,
            tracking_id=f"{transaction_id}:{item.address.listing_level_id}",
        )
        for item in items
    ]


def partial_update(account: VendorAccount, items: Sequence[PushItem]) -> dict[str, Any]:
    """Returns an update of these listings alone; what it leaves out stays as it is."""
    return {
        "inventory": {
            "sellingParty": {"partyId": account.vendor_code},
            "isFullUpdate": False,
            "items": [
                {
                    "buyerProductIdentifier": item.address.listing_external_id,
                    "availableQuantity": {"amount": item.quantity, "unitOfMeasure": "Each"},
                    "isObsolete": False,
                }
                for item in items
            ],
        }
    }


# -- what became of it


def follow(api: SellingPartnerApi, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
    """Asks after each transaction once; those that cannot be asked after now stay open."""
    members: defaultdict[str, list[AcceptedPush]] = defaultdict(list)
    for each in pushes:
        members[each.tracking_id.rpartition(":")[0]].append(each)
    ends: dict[str, PushResult | None] = {}
    for identity, told in members.items():
        try:
            ends |= _ends(told, transactions.ask(api, DIRECT, identity))
        except Throttled:
            break
        except NotThere:
            reason = "Amazon does not know the transaction any more."
            ends |= {each.tracking_id: _ended(each, ItemOutcome.UNKNOWN, reason) for each in told}
        except TransientError:
            if not ends:
                raise
            break
    return ends


def _ends(told: Sequence[AcceptedPush], found: Transaction) -> dict[str, PushResult | None]:
    if not found.is_done:
        return {each.tracking_id: _still_open(each) for each in told}
    if not found.has_failed:
        return {each.tracking_id: _ended(each, ItemOutcome.CONFIRMED) for each in told}
    named = {each.tracking_id: _errors_about(each, found) for each in told}
    return {
        each.tracking_id: _ended(each, ItemOutcome.REJECTED, named[each.tracking_id] or found.reason)
        if named[each.tracking_id] or len(told) == 1
        else _ended(each, ItemOutcome.RETRY, found.reason)
        for each in told
    }


def _errors_about(push: AcceptedPush, found: Transaction) -> str:
    """Returns the errors that name a listing by its ASIN or SKU; empty where none does."""
    names = [push.address.listing_external_id, str(push.address.data.get("sku") or "")]
    patterns = [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)") for name in names if name]
    return "; ".join(error for error in found.errors if any(p.search(error) for p in patterns))[:1000]


def _still_open(push: AcceptedPush) -> PushResult | None:
    if datetime.now(UTC) - push.sent_at < LONGEST_WAIT:
        return None
    minutes = int(LONGEST_WAIT.total_seconds() // 60)
    return _ended(push, ItemOutcome.UNKNOWN, f"Amazon still works on the update after {minutes} minutes.")


def _ended(push: AcceptedPush, outcome: ItemOutcome, reason: str = "") -> PushResult:
    return PushResult(push.address.listing_level_id, outcome, reason)
