"""What forms of the back office have in common."""

from typing import Any

from django import forms


class OwnNameForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form of something that its merchant knows by its name: one that is taken is refused at its field.

    Django leaves constraints out that name a field which the page only shows, and the merchant is such a one.
    """

    def clean(self) -> dict[str, Any]:
        """Refuses a name that the merchant has given already."""
        cleaned: dict[str, Any] = super().clean() or {}
        model, name = self._meta.model, cleaned.get("name")
        merchant_id = self.instance.merchant_id or getattr(cleaned.get("merchant"), "pk", None)
        twins = model._default_manager.filter(merchant_id=merchant_id, name=name)
        if name and twins.exclude(pk=self.instance.pk).exists():
            kind = model._meta.verbose_name
            self.add_error("name", f"This merchant has a {kind} of that name already. Choose another one.")
        return cleaned
