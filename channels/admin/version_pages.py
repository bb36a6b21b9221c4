"""What is decided about a version of rules: compared, approved, put in force, taken back."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from channels.admin.decisions import BecauseForm, ask
from channels.models import RuleSetVersion
from channels.models.rules import VersionState
from channels.rules import lifecycle
from channels.rules.differences import differences
from config.admin_panels import Panel, address_of, badge
from config.admin_site import own_page, require

_TONES: Final = {"draft": "neutral", "approved": "warning", "active": "good", "retired": "neutral"}
APPROVE: Final = "channels.approve_rulesetversion"


def state_badge(version: RuleSetVersion) -> str:
    """Returns a version's state as a word that stands out."""
    return badge(version.get_state_display(), _TONES[version.state])


def difference_panel(before: RuleSetVersion | None, after: RuleSetVersion) -> Panel:
    """Shows what a version states otherwise than another one."""
    rows = [(d.scope, d.setting.replace("_", " "), d.before, d.after) for d in differences(before, after)]
    old = f"v{before.number}" if before else "Nothing"
    title = f"Differences from v{before.number}" if before else "What it states"
    headers = ("Scope", "Setting", old, f"v{after.number}")
    return Panel(title, headers, rows, empty="They state the same.")


def differences_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Compares a version with another one of its set."""
    require(request, "channels.view_rulesetversion")
    version = get_object_or_404(RuleSetVersion.objects.select_related("rule_set"), pk=version_id)
    others = list(version.rule_set.versions.exclude(pk=version.pk).order_by("-number")[:200])
    chosen = request.GET.get("with", "")
    fallback = next((each for each in others if each.number < version.number), None)
    other = next((each for each in others if str(each.pk) == chosen), fallback)
    return own_page(
        request,
        "onecount/differences.html",
        f"What {version} states otherwise",
        version=version,
        others=others,
        other=other,
        back=address_of("channels.rulesetversion", version.pk),
        panels=[difference_panel(other, version)],
    )


def _decide(
    request: HttpRequest, version_id: int, button: str, run: Callable[..., str], note: str
) -> HttpResponseBase:
    require(request, APPROVE)
    version = get_object_or_404(RuleSetVersion.objects.select_related("rule_set"), pk=version_id)
    before = version.rule_set.versions.filter(state=VersionState.ACTIVE).exclude(pk=version.pk).first()
    return ask(
        request,
        BecauseForm(request.POST or None),
        lambda data: run(version, data["because"]),
        title=f"{button}: {version}",
        button=button,
        back=address_of("channels.rulesetversion", version.pk),
        note=note,
        panels=[difference_panel(before, version)],
    )


def approve_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Closes a draft to edits."""

    def run(version: RuleSetVersion, because: str) -> str:
        lifecycle.approve(version.pk, actor=request.user.get_username(), because=because)
        return f"{version} is approved."

    note = (
        "From then on its rules cannot be edited. It comes into force on its day, or when somebody says so."
    )
    return _decide(request, version_id, "Approve", run, note)


def withdraw_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Makes an approved version a draft again."""

    def run(version: RuleSetVersion, because: str) -> str:
        lifecycle.withdraw_approval(version.pk)
        return f"{version} is a draft again."

    return _decide(
        request, version_id, "Withdraw approval", run, "It becomes a draft again and can be edited."
    )


def activate_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Puts a version in force."""

    def run(version: RuleSetVersion, because: str) -> str:
        if lifecycle.activate(version.pk, actor=request.user.get_username(), because=because):
            return f"{version} is in force. The numbers it changes are being told."
        return f"{version} changes more listings than the fuse lets pass. It waits under Mass changes for a decision."

    note = "The version in force is retired. One click on its rule set rolls back."
    return _decide(request, version_id, "Put in force", run, note)
