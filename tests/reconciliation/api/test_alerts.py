"""Alerts through the API: listed, acknowledged, muted and ended with a reason."""

from typing import Any

import pytest

from reconciliation.alerts import Trouble, clear_alert, raise_alert
from reconciliation.models import Alert, Severity
from tests.api import Api, problem_of
from tests.factories import ChannelFactory, MerchantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert(db: None) -> Alert:
    """A channel that is down."""
    return raise_alert(
        "channel_down", Trouble("Down", remedy="Look.", evidence={"calls": 3}), channel=ChannelFactory()
    )


@pytest.fixture
def api(alert: Alert) -> Api:
    """A key of the channel's merchant."""
    assert alert.merchant is not None
    return Api(alert.merchant)


def test_an_alert_is_acknowledged_with_a_reason(api: Api, alert: Alert) -> None:
    path = f"/alerts/{alert.pk}/acknowledge"
    problem_of(api.post(path, {"because": " "}), 400, "invalid-request")
    shown = api.post(path, {"because": "On it."}).json()
    assert shown["acknowledged_because"] == "On it."
    assert shown["acknowledged_by"].startswith("tests (")
    assert (shown["severity"], shown["is_open"], shown["escalates_at"]) == ("warning", True, None)
    problem_of(api.post(path, {"because": "On it."}), 409, "wrong-state")


def test_an_alert_is_muted_for_a_time_and_unmuted(api: Api, alert: Alert) -> None:
    path = f"/alerts/{alert.pk}"
    problem_of(api.post(f"{path}/unmute"), 409, "wrong-state")
    for body in ({"hours": 0, "because": "x"}, {"hours": 10**6, "because": "x"}, {"hours": 2}):
        problem_of(api.post(f"{path}/mute", body), 400, "invalid-request")
    muted = api.post(f"{path}/mute", {"hours": 2, "because": "Planned."}).json()
    assert (muted["is_muted"], muted["muted_because"]) == (True, "Planned.")
    assert api.post(f"{path}/unmute").json()["is_muted"] is False


def test_an_alert_is_ended_by_hand(api: Api, alert: Alert) -> None:
    path = f"/alerts/{alert.pk}"
    assert api.post(f"{path}/resolve", {"because": "Gone."}).json()["is_open"] is False
    for verb in ("resolve", "acknowledge"):
        problem_of(api.post(f"{path}/{verb}", {"because": "x"}), 409, "wrong-state")


def test_alerts_are_filtered(api: Api, alert: Alert) -> None:
    worse = raise_alert("drift", Trouble("Drift", severity=Severity.CRITICAL), channel=alert.channel)
    clear_alert("drift", channel=alert.channel)

    def ids(**query: Any) -> list[int]:
        return [each["id"] for each in api.get("/alerts", query).json()["data"]]

    assert ids() == [alert.pk, worse.pk]
    assert ids(is_open="true") == [alert.pk]
    assert ids(severity="critical") == [worse.pk]
    assert ids(kind="drift", is_acknowledged="false") == [worse.pk]
    problem_of(api.get("/alerts", {"severity": "2"}), 400, "invalid-request")


def test_alerts_of_the_installation_and_of_others_are_not_shown(alert: Alert) -> None:
    everywhere = raise_alert("disk_full", Trouble("Full"))
    other = Api(MerchantFactory())
    for each in (alert, everywhere):
        problem_of(other.get(f"/alerts/{each.pk}"), 404, "not-found")
        problem_of(other.post(f"/alerts/{each.pk}/resolve", {"because": "x"}), 404, "not-found")
