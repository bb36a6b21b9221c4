"""Which path leads to which view of the analytics app."""

from django.urls import path

from analytics.views import live_view

app_name = "analytics"

urlpatterns = [path("admin/live/", live_view, name="live")]
