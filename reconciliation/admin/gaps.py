"""Times in which nobody watched: what was silent then was not heard."""

from django.contrib import admin

from config.admin_panels import NOTHING, duration
from config.admin_site import FactsAdmin
from reconciliation.models import WatchGap


@admin.register(WatchGap)
class WatchGapAdmin(FactsAdmin):
    """From when to when nobody looked whether anything is wrong."""

    list_display = ("ended_at", "began_at", "lasted")
    ordering = ("-id",)
    fields = ("began_at", "ended_at", "lasted")
    readonly_fields = ("lasted",)

    @admin.display(description="lasted")
    def lasted(self, gap: WatchGap) -> str:
        """Returns how long it was; nothing where nobody had watched before."""
        return duration(gap.ended_at - gap.began_at) if gap.began_at else NOTHING
