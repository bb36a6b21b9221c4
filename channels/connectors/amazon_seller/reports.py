"""The report of all listings: what is too much to be paged through.

A report is asked for first and ready later. Whoever finds it not ready in time comes back: the newest report that was
asked for a short while ago is taken, and no second one is asked for.
"""

import csv
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon import documents
from channels.connectors.amazon.client import Call, SellingPartnerApi
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
    """Streams the report's rows; raises `TransientError` while it is not ready."""
    report = _followed(api, _young(api) or _asked_for(api))
    status = read_text(report, "processingStatus")
    if status == "CANCELLED":
        return  # "no data", too
    if status != "DONE":
        raise TransientError("Amazon's report of all listings is not ready yet.", retry_after=_COME_BACK)
    document_id = quote(read_id(report, "reportDocumentId"), safe="")
    described = api.read(f"{_PATH}/documents/{document_id}", bucket="get-report-document")
    yield from _rows(documents.download(api, described))


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


def _rows(document: bytes) -> Iterator[Row]:
    """Reads tab-separated text, whose first line names the columns."""
    lines = iter(_text(document).splitlines())
    names = [name.strip().lower() for name in next(lines, "").lstrip("\ufeff").split("\t")]
    if not {"seller-sku", "quantity", "fulfillment-channel"} <= set(names):
        raise TransientError("Amazon's report of all listings has other columns than expected.")
    for cells in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
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


def _text(document: bytes) -> str:
    """Decodes a report: UTF-8, or what the marketplace writes (Japan CP932, Europe CP1252)."""
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return document.decode(encoding)
        except UnicodeDecodeError:
            continue
    return document.decode("cp1252", "replace")
