"""Which path leads to which view of the channels app."""

from django.urls import path

from channels.views import webhook

app_name = "channels"

urlpatterns = [path("webhooks/<str:public_id>/", webhook, name="webhook")]
