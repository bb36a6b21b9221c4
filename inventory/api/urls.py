"""Which path leads to which of the inventory's endpoints, below `/api/v1/`."""

from typing import Final

from rest_framework.routers import SimpleRouter

from inventory.api.backorders import Backorders
from inventory.api.bundles import Bundles
from inventory.api.catalogue import Locations, Products, Variants
from inventory.api.changes import Feed
from inventory.api.count_sheets import CountSheets
from inventory.api.events import Events
from inventory.api.imports import Imports
from inventory.api.keys import Keys
from inventory.api.levels import Movements, StockLevels
from inventory.api.purchasing import PurchaseOrders, Suppliers
from inventory.api.reservations import Reservations
from inventory.api.returns import Returns
from inventory.api.stock import Stock
from inventory.api.transfers import Transfers

VIEWS: Final = {
    "products": Products,
    "variants": Variants,
    "locations": Locations,
    "stock-levels": StockLevels,
    "movements": Movements,
    "changes": Feed,
    "stock": Stock,
    "events": Events,
    "transfers": Transfers,
    "returns": Returns,
    "count-sheets": CountSheets,
    "reservations": Reservations,
    "backorders": Backorders,
    "bundles": Bundles,
    "suppliers": Suppliers,
    "purchase-orders": PurchaseOrders,
    "imports": Imports,
    "keys": Keys,
}

router = SimpleRouter(trailing_slash=False)
for _path, _view in VIEWS.items():
    router.register(_path, _view, basename=_view.name_of_rows)

urlpatterns = router.urls
