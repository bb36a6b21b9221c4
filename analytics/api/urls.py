"""Which path leads to which of analytics' endpoints, below `/api/v1/`."""

from typing import Final

from rest_framework.routers import SimpleRouter

from analytics.api.figures import SalesFigures, StockMoves, StockPerformance
from analytics.api.kpis import KpiDays, Kpis
from analytics.api.tickets import Tickets

VIEWS: Final = {
    "kpis": Kpis,
    "kpi-days": KpiDays,
    "sales": SalesFigures,
    "stock-figures": StockPerformance,
    "stock-moves": StockMoves,
    "support-tickets": Tickets,
}

router = SimpleRouter(trailing_slash=False)
for _path, _view in VIEWS.items():
    router.register(_path, _view, basename=_view.name_of_rows)

urlpatterns = router.urls
