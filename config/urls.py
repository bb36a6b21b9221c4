"""Which path leads to which app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("analytics.urls")),
    path("", include("channels.urls")),
    path("admin/", admin.site.urls),
]
