"""The report of all listings: what is too much to be paged through.

A report is asked for first and ready later. Whoever finds it not ready in time comes back: the newest report that was
asked for a short while ago is taken, and no second one is asked for.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon import documents
from channels.connectors.amazon.client import Call, SellingPartnerApi
from channels.connectors.amazon.regions import JAPAN
from channels.connectors.messages import read_id, read_objects, read_text
from channels.errors import TransientError

ALL_LISTINGS: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"

_PATH: Final = "/reports/2021-06-30"
#: A report that was asked for no longer ago is taken instead of a new one.
_YOUNG: Final = timedelta(minutes=20)
#: Seconds between looks, within the lease of whoever reads the listings.
_WAITS: Final = (1.0, 2.0, 5.0, 10.0, 10.0)
#: Seconds after which a report that is not ready is asked after again.
_COME_BACK: Final = 60.0
_ENDED: Final = frozenset({"DONE", "CANCELLED", "FATAL"})


@dataclass(frozen=True, slots=True)
class Row:
    """One listing in the report."""

    sku: str
    title: str
    asin: str
    #: None where Amazon ships it.
    quantity: int | None
    fulfilment_channel: str


def fetch_rows(api: SellingPartnerApi) -> Iterator[Row]:
    """Streams the report's rows; raises `TransientError` while it is not ready, and where it holds none."""
    report = _followed(api, _young(api) or _asked_for(api))
    status = read_text(report, "processingStatus")
    if status == "CANCELLED":
        # "No data", says Amazon with it: a seller of so many listings has data.
        raise TransientError("Amazon cancelled its report of all listings.", retry_after=_COME_BACK)
    if status != "DONE":
        raise TransientError("Amazon's report of all listings is not ready yet.", retry_after=_COME_BACK)
    document_id = quote(read_id(report, "reportDocumentId"), safe="")
    described = api.read(f"{_PATH}/documents/{document_id}", bucket="get-report-document")
    yield from _rows(documents.download(api, described), is_japanese=JAPAN in api.marketplace_ids)


def _young(api: SellingPartnerApi) -> dict[str, Any] | None:
    """Returns the newest report of all listings that is ready or on its way; None where there is none."""
    parameters = {
        "reportTypes": ALL_LISTINGS,
        "marketplaceIds": ",".join(api.marketplace_ids),
        "processingStatuses": "IN_QUEUE,IN_PROGRESS,DONE",
        "createdSince": (datetime.now(UTC) - _YOUNG).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "pageSize": "10",
    }
    found = read_objects(api.read(f"{_PATH}/reports", parameters, bucket="get-reports"), "reports")
    return max(found, key=lambda report: read_text(report, "createdTime"), default=None)


def _asked_for(api: SellingPartnerApi) -> dict[str, Any]:
    body = {"reportType": ALL_LISTINGS, "marketplaceIds": list(api.marketplace_ids)}
    # Asking for a report changes nothing.
    return api.call(Call("POST", f"{_PATH}/reports", "create-report", body=body, writes=False))


def _followed(api: SellingPartnerApi, report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Looks until the report has ended, or for as long as it is worth waiting."""
    identity = quote(read_id(report, "reportId"), safe="")
    for wait in (0.0, *_WAITS):
        if read_text(report, "processingStatus") in _ENDED:
            break
        time.sleep(wait)
        report = api.read(f"{_PATH}/reports/{identity}", bucket="get-report")
    return report


def _rows(document: bytes, *, is_japanese: bool) -> Iterator[Row]:
    """Reads tab-separated text, whose first line names the columns; titles may hold any other separator of lines."""
    lines = (line.rstrip("\r").split("\t") for line in _text(document, is_japanese=is_japanese).split("\n"))
    names = [name.strip().lower() for name in next(lines, [])]
    if not {"seller-sku", "quantity", "fulfillment-channel"} <= set(names):
        raise TransientError("Amazon's report of all listings has other columns than expected.")
    for cells in lines:
        row = dict(zip(names, cells, strict=False))
        if row.get("seller-sku"):
            yield _row(row)


def _row(row: Mapping[str, str]) -> Row:
    quantity = row.get("quantity", "").strip()
    return Row(
        sku=row["seller-sku"],
        title=row.get("item-name", ""),
        asin=row.get("asin1", ""),
        quantity=int(quantity)
        if quantity.isascii() and quantity.isdecimal() and len(quantity) < 10
        else None,
        fulfilment_channel=row.get("fulfillment-channel", ""),
    )


def _text(document: bytes, *, is_japanese: bool) -> str:
    """Decodes a report: UTF-8, or what the marketplace writes: Japan's CP932, the others' CP1252."""
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError:
        return document.decode("cp932" if is_japanese else "cp1252", "replace")
