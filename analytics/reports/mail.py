"""A report as a message: HTML, the same as plain text, and CSV where wanted."""

from collections.abc import Sequence
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from analytics.kpis.charts import PARTS, shown_value
from analytics.kpis.trends import Series
from analytics.reports.content import STOCK_DAYS, Report
from analytics.reports.csv_files import sales_file, stock_file
from config.admin_panels import NOTHING


def message_of(report: Report, recipients: Sequence[str], *, has_csv: bool) -> EmailMultiAlternatives:
    """Returns the message; sending it is up to the caller."""
    context = context_of(report)
    subject = f"{report.merchant.name}: stock and sales of {report.day}"
    text = render_to_string("onecount/report.txt", context)
    message = EmailMultiAlternatives(" ".join(subject.split()), text, to=list(recipients))
    message.attach_alternative(html_of(report), "text/html")
    if has_csv:
        merchant_id, day = report.merchant.pk, report.day
        message.attach(f"sales-{day}.csv", sales_file(merchant_id, day), "text/csv")
        message.attach(f"stock-{day}.csv", stock_file(merchant_id, day), "text/csv")
    return message


def html_of(report: Report) -> str:
    """Returns the report as a page."""
    return render_to_string("onecount/report.html", context_of(report))


def context_of(report: Report) -> dict[str, Any]:
    """Returns what the templates show."""
    stock = report.stock
    return {
        "report": report,
        "figures": [_figure(report, series) for series in report.figures],
        "stock_days": STOCK_DAYS,
        "sell_through": NOTHING if stock.sell_through is None else f"{stock.sell_through:.1%}",
        "turns": NOTHING if stock.turns is None else f"{stock.turns:.1f}",
        "out_days": f"{stock.out_days:.1f}",
    }


def _figure(report: Report, series: Series) -> dict[str, Any]:
    point = report.point(series)
    part, whole = PARTS[series.kpi.value]
    met = series.verdict_of(point.value if point else None)
    return {
        "label": series.kpi.label,
        "value": shown_value(series, point.value if point else None),
        "target": shown_value(series, series.target),
        "verdict": "" if met is None else "on target" if met else "off target",
        "evidence": f"{part}: {point.part:,}. {whole}: {point.whole:,}." if point else "",
        "week": shown_value(series, series.value),
        "trend": series.trend,
    }
