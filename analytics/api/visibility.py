"""Which models of analytics the API shows, and what test keys see of them."""

from analytics.models import KpiDay, SalesFact, StockFact, SupportTicket
from channels.api.visibility import of_simulated
from inventory.api.visibility import enter

enter(KpiDay, "merchant", for_tests=of_simulated)
enter(SalesFact, "merchant", for_tests=of_simulated)
enter(StockFact, "merchant", for_tests=of_simulated)
enter(SupportTicket, "merchant", for_tests=of_simulated)
