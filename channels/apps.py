"""The channels application."""

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    """Listens to the ledger: what it changes is due to be told, in the same transaction. Checks the connectors."""

    name = "channels"

    def ready(self) -> None:
        """Subscribes to the ledger's announcements: requests first, since listing levels are locked last."""
        # The apps must be loaded before modules with models are.
        from channels.connectors import checks  # noqa: F401  # registers itself
        from channels.fulfilment import follow
        from channels.line_remedies import owned_references
        from channels.models.orders import LINE_REFERENCE
        from channels.pushes import mark_bundles, mark_due
        from channels.rules.catalogue import follow_catalogue
        from inventory.announcements import (
            subscribe,
            subscribe_to_bundles,
            subscribe_to_catalogue,
            subscribe_to_holds,
        )
        from inventory.references import keep

        subscribe_to_holds(follow)
        subscribe(mark_due)
        subscribe_to_catalogue(follow_catalogue)
        subscribe_to_bundles(mark_bundles)
        keep(LINE_REFERENCE, owned_references)
