"""Which path leads to which app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from config.api.docs import Description, Page, nothing_here, refused_early

#: The merchants' API; `docs` shows its description to people.
_API: list[URLPattern | URLResolver] = [
    path("openapi.json", Description.as_view(), name="api-description"),
    path("docs", Page.as_view(), name="api-docs"),
    path("", include("inventory.api.urls")),
    path("", include("channels.api.urls")),
    path("", include("reconciliation.api.urls")),
    path("", include("analytics.api.urls")),
]

handler400 = refused_early

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("analytics.urls")),
    path("", include("channels.urls")),
    path("api/v1/", include(_API)),
    re_path(r"^api(?:/.*)?$", nothing_here),
    path("admin/", admin.site.urls),
]
