"""What all documents share: their lock, and what may be named on them.

A document (transfer, return, count sheet) is locked after the operation and before the levels; what happens to it commits
with the movements or not at all.
"""

from collections.abc import Collection
from typing import Any, TypeVar

from django.db import models

from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.kits import current_kits, refuse
from inventory.locking import check_known
from inventory.models import Location
from inventory.models.catalogue import LocationKind

Document = TypeVar("Document", bound=models.Model)


def lock_document(model: type[Document], merchant_id: int, document_id: int) -> Document:
    """Locks and returns a document of the merchant. Raises `UnknownStock`."""
    rows: Any = model._default_manager.select_for_update(no_key=True)
    document: Document | None = rows.filter(merchant_id=merchant_id, pk=document_id).first()
    if document is None:
        raise UnknownStock(f"The merchant has no such {model._meta.verbose_name}.")
    return document


def check_places_of_goods(merchant_id: int, variant_ids: Collection[int], **places: Collection[int]) -> None:
    """Refuses variants and places (by field name) that the merchant has not, kits, and what is no place to put goods."""
    every = {place for ids in places.values() for place in ids}
    check_known(merchant_id, variant_ids, every)
    transit = Location.objects.filter(pk__in=every, kind=LocationKind.IN_TRANSIT)
    between = set(transit.values_list("pk", flat=True))
    for field, ids in places.items():
        if between & set(ids):
            raise InvalidStockRequest(
                field, "goods are there only between two places; choose one of the two."
            )
    if variant_ids:
        refuse(current_kits(merchant_id, variant_ids))
