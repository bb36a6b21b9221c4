"""Where a demand's reference leads: whoever makes references says which page shows what is behind them.

Inventory knows references as words only (`order-line:42`). An app that makes them registers, for its prefix, a function that
finds the pages of many at once.
"""

from collections.abc import Callable, Iterable

from config.admin_panels import link

#: Takes references of one prefix, returns address and text for those it knows; one query.
Finder = Callable[[list[str]], dict[str, tuple[str, str]]]

_finders: dict[str, Finder] = {}


def register(prefix: str, finder: Finder) -> None:
    """Has references that start with the prefix shown as links."""
    _finders[prefix] = finder


def linked(references: Iterable[str]) -> dict[str, str]:
    """Returns each reference as it is shown: as a link where its page is known. One query for each prefix."""
    wanted = {reference for reference in references if reference}
    shown = {reference: reference for reference in wanted}
    for prefix, finder in _finders.items():
        own = sorted(reference for reference in wanted if reference.startswith(prefix))
        if own:
            shown.update({reference: link(*target) for reference, target in finder(own).items()})
    return shown
