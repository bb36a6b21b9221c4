"""One access token a channel, renewed once, whoever asks."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels import tokens
from channels.connectors.base import IssuedToken
from channels.errors import Unauthorised
from channels.models import AccessToken, Channel
from inventory.models import Merchant


class Platform:
    """Issues tokens and counts them."""

    def __init__(self, expires_in: float = 3600, pause: float = 0.0) -> None:
        self.issued = 0
        self.expires_in = expires_in
        self.pause = pause

    def __call__(self) -> IssuedToken:
        time.sleep(self.pause)
        self.issued += 1
        return IssuedToken(f"token-{self.issued}", self.expires_in)


def refuse() -> IssuedToken:
    raise Unauthorised("No.")


def test_a_token_is_asked_for_once_and_then_shared(channel: Channel) -> None:
    platform = Platform()
    assert [tokens.current(channel.pk, platform)[0] for _ in range(3)] == ["token-1"] * 3
    assert platform.issued == 1


def test_a_token_is_renewed_before_it_expires(channel: Channel) -> None:
    _, renew_at = tokens.current(channel.pk, Platform(expires_in=3600))
    kept = AccessToken.objects.get(channel=channel)
    assert kept.expires_at is not None
    assert kept.expires_at - renew_at == timedelta(seconds=60)
    platform = Platform(expires_in=299)
    AccessToken.objects.all().delete()
    tokens.forget_tokens()
    _, renew_at = tokens.current(channel.pk, platform)
    assert timedelta(seconds=260) < renew_at - timezone.now() < timedelta(seconds=270)


def test_a_token_past_its_time_is_replaced(channel: Channel) -> None:
    platform = Platform(expires_in=0)
    assert tokens.current(channel.pk, platform)[0] == "token-1"
    assert tokens.current(channel.pk, platform)[0] == "token-2"


def test_a_rejected_token_is_replaced_once_whoever_asks_first(channel: Channel) -> None:
    platform = Platform()
    tokens.current(channel.pk, platform)
    assert tokens.current(channel.pk, platform, rejected="token-1")[0] == "token-2"
    assert tokens.current(channel.pk, platform, rejected="token-1")[0] == "token-2"


def test_a_token_is_good_for_the_credentials_that_it_was_issued_to(channel: Channel) -> None:
    platform = Platform()
    assert tokens.current(channel.pk, platform, issued_to="old")[0] == "token-1"
    assert tokens.current(channel.pk, platform, issued_to="new")[0] == "token-2"
    tokens.forget_tokens()
    assert tokens.current(channel.pk, platform, issued_to="new")[0] == "token-2"
    assert platform.issued == 2


def test_a_token_of_which_nobody_noted_to_whom_it_was_issued_is_used(channel: Channel) -> None:
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    token: Any = {"value": "from before", "renew_at": later}
    AccessToken.objects.create(channel=channel, token=token, expires_at=None)
    assert tokens.current(channel.pk, refuse, issued_to="whoever")[0] == "from before"


def test_a_platform_that_issues_none_is_reported_and_the_old_token_stays(channel: Channel) -> None:
    platform = Platform()
    tokens.current(channel.pk, platform)
    with pytest.raises(Unauthorised):
        tokens.current(channel.pk, refuse, rejected="token-1")
    assert tokens.current(channel.pk, platform)[0] == "token-1"


def test_a_known_token_costs_one_query_and_then_none(
    channel: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    platform = Platform()
    tokens.current(channel.pk, platform)
    tokens.forget_tokens()
    with django_assert_num_queries(1):
        tokens.current(channel.pk, platform)
    with django_assert_num_queries(0):
        tokens.current(channel.pk, platform)


def test_a_token_stands_encrypted_in_its_row(channel: Channel) -> None:
    tokens.current(channel.pk, Platform())
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM channels_accesstoken")
        assert "token-1" not in cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_processes_that_ask_together_cause_one_renewal() -> None:
    merchant = Merchant.objects.create(name="Merchant")
    channel = Channel.objects.create(merchant=merchant, name="Channel", kind="shopify")
    platform = Platform(pause=0.2)
    start = threading.Barrier(5)
    found: list[str] = []

    def ask() -> None:
        try:
            start.wait()
            found.append(tokens.current(channel.pk, platform)[0])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["token-1"] * 5
    assert platform.issued == 1
