"""Which path leads to which view of the channels app."""

from django.urls import path

from channels.buyer_views import one_order, orders, release, reservations, stock
from channels.views import webhook

app_name = "channels"

urlpatterns = [
    path("webhooks/<str:public_id>/", webhook, name="webhook"),
    path("wholesale/<str:public_id>/stock", stock, name="buyers-stock"),
    path("wholesale/<str:public_id>/orders", orders, name="buyers-orders"),
    path("wholesale/<str:public_id>/orders/<path:external_id>", one_order, name="buyers-order"),
    path("wholesale/<str:public_id>/reservations", reservations, name="buyers-reservations"),
    path("wholesale/<str:public_id>/reservations/<str:reference>/release", release, name="buyers-release"),
]
