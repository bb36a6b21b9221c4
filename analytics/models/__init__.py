"""The tables of the analytics app, by topic. All but what people edit can be computed anew from ledger and orders."""

from analytics.models.facts import (
    CountedLine,
    DayChange,
    LevelMark,
    OrderChange,
    SalesFact,
    StockDay,
    StockFact,
)
from analytics.models.kpis import FastSeller, Kpi, KpiDay, KpiTarget, ToldOrder
from analytics.models.reports import ReportPlan, ReportRun, ReportState
from analytics.models.tickets import SupportTicket

__all__ = [
    "CountedLine",
    "DayChange",
    "FastSeller",
    "Kpi",
    "KpiDay",
    "KpiTarget",
    "LevelMark",
    "OrderChange",
    "ReportPlan",
    "ReportRun",
    "ReportState",
    "SalesFact",
    "StockDay",
    "StockFact",
    "SupportTicket",
    "ToldOrder",
]
