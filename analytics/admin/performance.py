"""The page on which one sees what sells, what does not, and what is missing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from analytics.performance import (
    ORDERS,
    ChannelSales,
    Span,
    StockFigures,
    last_days,
    sales_by_channel,
    stock_page,
)
from config.admin_panels import NOTHING, Figure, Panel, address_of, link
from config.admin_site import own_page, require
from inventory.models import Merchant

ROWS: Final = 50
#: Days that are shown unless told otherwise.
_DAYS: Final = 30
SPANS: Final = {7: "7 days", 30: "30 days", 90: "90 days", 365: "365 days"}
_ORDER_NAMES: Final = {
    "shipped": "most shipped",
    "out": "longest out of stock",
    "slow": "slowest",
    "sku": "SKU",
}


class SpanForm(forms.Form):
    """Whose goods, over how many days up to today, and which first."""

    merchant = forms.ModelChoiceField(
        Merchant.objects.filter(is_active=True),
        required=False,
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )
    days = forms.TypedChoiceField(
        label="Over the last",
        choices=list(SPANS.items()),
        coerce=int,
        required=False,
        initial=_DAYS,
        widget=UnfoldAdminSelectWidget,
    )
    by = forms.ChoiceField(
        label="First",
        choices=list(_ORDER_NAMES.items()),
        required=False,
        initial="shipped",
        widget=UnfoldAdminSelectWidget,
    )
    q = forms.CharField(
        label="SKU contains", required=False, max_length=128, widget=UnfoldAdminTextInputWidget
    )


def performance_page(request: HttpRequest) -> HttpResponse:
    """Shows sales by channel, and stock figures of fifty variants and of all; the statements do not grow."""
    require(request, "analytics.view_salesfact", "analytics.view_stockfact")
    first = Merchant.objects.filter(is_active=True).order_by("name", "id").first()
    form = SpanForm(request.GET or None, initial={"merchant": first})
    data = form.cleaned_data if form.is_bound and form.is_valid() else {}
    merchant = data.get("merchant") or first
    number = request.GET.get("page", "")
    page = max(int(number), 1) if number.isdecimal() and len(number) < 7 else 1
    panels: list[Panel] = []
    has_more = False
    if merchant is not None:
        span = last_days(merchant.pk, data.get("days") or _DAYS, timezone.now().date() + timedelta(days=1))
        by = data.get("by") or "shipped"
        every, found = stock_page(
            span,
            by=by if by in ORDERS else "shipped",
            search=data.get("q", ""),
            offset=(page - 1) * ROWS,
            limit=ROWS + 1,
        )
        has_more = len(found) > ROWS
        panels = [channels_panel(span), stock_panel(every), variants_panel(found[:ROWS])]
    return own_page(
        request,
        "onecount/performance.html",
        "Performance",
        form=form,
        panels=panels,
        newer=_query(request, page - 1) if page > 1 else "",
        older=_query(request, page + 1) if has_more else "",
    )


def _query(request: HttpRequest, page: int) -> str:
    given = request.GET.copy()
    given["page"] = str(page)
    return given.urlencode()


def channels_panel(span: Span) -> Panel:
    """Shows the sales of each channel, a row a currency."""
    headers = (
        "Channel", "Currency", "Orders", "Units ordered", "Cancelled", "Shipped", "Returned", "GMV", "Without a price",
    )  # fmt: skip
    note = (
        "By the day of the order. GMV is what was ordered and not cancelled, at the prices of the platform."
    )
    rows = [_channel(each) for each in sales_by_channel(span)]
    return Panel("Channels", headers, rows, empty="Nothing was ordered.", note=note)


def _channel(sales: ChannelSales) -> tuple[Any, ...]:
    return (
        link(address_of("channels.channel", sales.channel_id), sales.channel),
        sales.currency,
        sales.orders,
        sales.ordered,
        sales.cancelled,
        sales.shipped,
        sales.returned,
        Figure(f"{sales.gmv:,.2f}"),
        sales.unpriced,
    )


_HEADERS: Final = (
    "On hand before", "On hand now", "Received", "Shipped", "Returned", "Average", "Sell-through", "Turns a year",
    "Days out of stock",
)  # fmt: skip


def stock_panel(stock: StockFigures) -> Panel:
    """Shows the figures of all variants together."""
    note = "Units at all places. Days out of stock are added up over SKUs and places."
    return Panel("Stock of all SKUs", _HEADERS, [_stock(stock)], note=note)


def variants_panel(found: Sequence[StockFigures]) -> Panel:
    """Shows the figures of some variants."""
    rows = [
        (link(address_of("inventory.variant", each.variant_id), each.sku), *_stock(each)) for each in found
    ]
    return Panel("SKUs", ("SKU", *_HEADERS), rows, empty="No SKU matches.")


def _stock(stock: StockFigures) -> tuple[Any, ...]:
    return (
        stock.opening,
        stock.closing,
        stock.received,
        stock.shipped,
        stock.returned,
        Figure(f"{stock.average:,.1f}"),
        Figure(NOTHING if stock.sell_through is None else f"{stock.sell_through:.1%}"),
        Figure(NOTHING if stock.turns is None else f"{stock.turns:.1f}"),
        Figure(f"{stock.out_days:.1f}"),
    )
