"""Every stored secret comes under the newest key, wherever it stands, and the command says which key may go."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django import Settings

from channels import key_rotation
from channels.errors import Misconfigured
from channels.key_rotation import Rotation, columns, rotate
from channels.models import Channel
from tests.back_office import SECRET, Business
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture
def use(settings: Settings) -> Callable[..., None]:
    def use(*keys: str) -> None:
        settings.ONECOUNT_CREDENTIAL_KEYS = list(keys)

    use(OLD)
    return use


def secrets_by_column() -> dict[str, list[Any]]:
    """Returns what is stored, opened; every column that holds secrets has rows."""
    found = {
        f"{column.model._meta.label}.{column.name}": list(
            column.model._base_manager.order_by("pk").values_list(column.name, flat=True)
        )
        for column in columns()
    }
    assert [name for name, values in found.items() if not values] == []
    return found


def run(*options: str) -> tuple[dict[str, Any], int]:
    out = StringIO()
    try:
        call_command("rotate_credentials", "--json", *options, stdout=out)
    except SystemExit as ended:
        return json.loads(out.getvalue()), int(str(ended.code))
    return json.loads(out.getvalue()), 0


def test_every_secret_of_every_model_is_opened_by_the_newest_key_alone(use: Callable[..., None]) -> None:
    Business().grow(2)
    before = secrets_by_column()
    assert SECRET in str(before)
    use(NEW, OLD)
    rotation = rotate()
    assert rotation.is_complete
    assert rotation.rotated == sum(map(len, before.values()))
    use(NEW)
    assert secrets_by_column() == before


def test_a_run_that_was_ended_goes_on_where_it_stopped(use: Callable[..., None]) -> None:
    ChannelFactory.create_batch(5, credentials={"secret": SECRET})
    use(NEW, OLD)

    def die(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(on_progress=die)
    rotation = rotate()
    assert (rotation.rotated, rotation.current) == (3, 2)
    assert (rotate().rotated, rotate().current) == (0, 5)


def test_more_rows_than_one_batch_are_all_reached(
    use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "_BATCH", 2)
    ChannelFactory.create_batch(5, credentials={"secret": SECRET})
    use(NEW, OLD)
    assert rotate().rotated == 5


def test_whoever_enters_other_credentials_meanwhile_wins(use: Callable[..., None]) -> None:
    first, second = ChannelFactory.create_batch(2, credentials={"secret": SECRET})
    use(NEW, OLD)

    def enter(done: int) -> None:
        if done == 1:
            Channel.objects.filter(pk=max(first.pk, second.pk)).update(credentials={"secret": "entered"})

    rotation = rotate(on_progress=enter)
    assert (rotation.rotated, rotation.overtaken) == (1, 1)
    assert Channel.objects.get(pk=max(first.pk, second.pk)).credentials == {"secret": "entered"}
    assert rotation.is_complete


def test_a_dry_run_changes_nothing_and_says_what_keys_are_needed_for(use: Callable[..., None]) -> None:
    ChannelFactory(credentials={"secret": SECRET})
    use(NEW, OLD)
    said, code = run("--dry-run")
    assert (said["is_dry_run"], said["rotated"], said["is_complete"], code) == (True, 1, False, 0)
    assert [(key["values"], key["may_be_removed"]) for key in said["keys"]] == [(0, False), (1, False)]
    assert rotate().rotated == 1


def test_it_says_which_key_may_be_removed_and_names_none(use: Callable[..., None]) -> None:
    ChannelFactory(credentials={"secret": SECRET})
    use(NEW, OLD)
    said, code = run()
    assert (said["rotated"], said["is_complete"], code) == (1, True, 0)
    assert [key["may_be_removed"] for key in said["keys"]] == [False, True]
    assert len({key["fingerprint"] for key in said["keys"]}) == 2
    for key in (NEW, OLD, SECRET):
        assert key not in json.dumps(said)
    out = StringIO()
    call_command("rotate_credentials", stdout=out)
    assert "1 were under the newest key" in out.getvalue()
    assert "may be removed; keep it with backups" in out.getvalue()


def test_values_that_no_key_opens_are_named_and_no_key_may_go(use: Callable[..., None]) -> None:
    use(LOST)
    lost = ChannelFactory(credentials={"secret": SECRET})
    use(NEW, OLD)
    said, code = run()
    assert (said["unreadable"], said["is_complete"], code) == (1, False, 1)
    assert said["unreadable_named"] == [f"channels.channel {lost.pk}: credentials"]
    assert [key["may_be_removed"] for key in said["keys"]] == [False, False]
    with pytest.raises(Misconfigured):
        Channel.objects.get(pk=lost.pk)
    use(NEW, OLD, LOST)
    assert run()[1] == 0


def test_what_a_process_wrote_with_the_old_key_meanwhile_is_seen(use: Callable[..., None]) -> None:
    use(NEW, OLD)
    channel = ChannelFactory(credentials={})

    def write_old(done: int) -> None:
        use(OLD)
        Channel.objects.filter(pk=channel.pk).update(credentials={"secret": SECRET})
        use(NEW, OLD)

    rotation: Rotation = rotate(on_progress=write_old)
    assert [key.values for key in rotation.keys] == [0, 1]
    assert not rotation.is_complete
