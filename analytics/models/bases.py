"""What computed rows have in common."""

from django.db import models

from inventory.models import Merchant


class Figure(models.Model):
    """Something that is computed of a merchant's rows, and gone with the merchant.

    Its foreign keys are not checked by the database: what they name is never deleted, and the check would lock rows of
    channels while thousands of figures are written.
    """

    merchant = models.ForeignKey(
        Merchant, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True
