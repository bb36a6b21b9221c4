"""Which path leads to which endpoint of analytics, below `/api/v1/`."""

from rest_framework.routers import SimpleRouter

from analytics.api.tickets import Tickets

router = SimpleRouter(trailing_slash=False)
router.register("support-tickets", Tickets, basename=Tickets.name_of_rows)

urlpatterns = router.urls
