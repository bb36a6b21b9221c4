"""The roles of the back office exist after every migration, with what their table says."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

from config.roles import ACTIONS, ROLES, keep_roles

pytestmark = pytest.mark.django_db


def granted(role: str) -> set[str]:
    rows = Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")
    return {f"{app_label}.{codename}" for app_label, codename in rows}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_what_its_table_says_and_otherwise_only_looks(role: str) -> None:
    assert granted(role) >= set(ROLES[role])
    assert {name for name in granted(role) if ".view_" not in name} == set(ROLES[role])


def test_every_role_sees_every_model_of_both_apps() -> None:
    for label in ("inventory", "channels", "reconciliation"):
        names = {
            f"{label}.view_{model._meta.model_name}" for model in apps.get_app_config(label).get_models()
        }
        assert granted("read-only") >= names


def test_what_people_do_has_permissions_of_its_own() -> None:
    user = User.objects.create_user("somebody", is_staff=True)
    user.groups.add(Group.objects.get(name="operations"))
    assert user.has_perm("inventory.move_stock")
    assert not user.has_perm("channels.connect_channel")
    assert Permission.objects.filter(codename__in=[each.split(".")[1] for each in ACTIONS]).count() == len(
        ACTIONS
    )


def test_what_was_granted_by_hand_stays() -> None:
    by_hand = Permission.objects.get(codename="move_stock")
    Group.objects.get(name="commerce").permissions.add(by_hand)
    for label in ("inventory", "channels", "reconciliation"):
        keep_roles(apps.get_app_config(label))
    assert "inventory.move_stock" in granted("commerce")


def test_a_role_that_was_emptied_is_filled_again() -> None:
    Group.objects.get(name="operations").delete()
    for label in ("inventory", "channels", "reconciliation"):
        keep_roles(apps.get_app_config(label))
    assert granted("operations") >= set(ROLES["operations"])
