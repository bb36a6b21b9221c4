"""Pages on which people decide, with a reason: approve, activate, confirm, pin."""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminTextareaWidget

from channels.errors import KeysRefused, RuleRefused
from config.admin_panels import Panel
from config.admin_site import own_page


class BecauseForm(forms.Form):
    """Asks why."""

    because = forms.CharField(
        label="Why",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="What a colleague should read here in a year.",
    )


def ask(
    request: HttpRequest,
    form: forms.Form,
    run: Callable[[dict[str, Any]], str],
    *,
    title: str,
    button: str,
    back: str,
    note: str = "",
    panels: Sequence[Panel] = (),
) -> HttpResponseBase:
    """Shows a form; a valid one runs, says what came of it, and leads back. What is refused stands at its field."""
    if request.method == "POST" and form.is_valid():
        try:
            text = run(form.cleaned_data)
        except (KeysRefused, RuleRefused) as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, text)
            return redirect(back)
    return own_page(
        request,
        "onecount/decision.html",
        title,
        form=form,
        button=button,
        back=back,
        note=note,
        panels=panels,
    )
