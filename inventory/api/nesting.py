"""Lines of documents: a list shows the first of each, so that a page stays a page; the document itself shows all of them."""

from typing import Any, Final

from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce

#: Lines that a list shows of each document.
IN_LISTS: Final = 50
#: Where the lines that are shown stand on their document.
SHOWN: Final = "shown_lines"
COUNT_HELP: Final = (
    f"How many lines it has; a list shows the first {IN_LISTS} of them, the document itself all."
)


def with_lines(
    rows: QuerySet[Any], lines: QuerySet[Any], *, name: str = "lines", is_list: bool = False
) -> QuerySet[Any]:
    """Brings along the lines of documents as `shown_lines`, and as `line_count` how many there are; one statement."""
    way = rows.model._meta.get_field(name).field.name
    count = lines.order_by().filter(**{way: OuterRef("pk")}).values(way).annotate(lines=Count("pk"))
    counted: QuerySet[Any] = rows.annotate(line_count=Coalesce(Subquery(count.values("lines")), 0))
    return counted.prefetch_related(Prefetch(name, lines[:IN_LISTS] if is_list else lines, to_attr=SHOWN))
