"""The short way to the API: the same answers, and nothing of what pages need."""

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from config.api.parsing import plain_query
from inventory.models import Product
from tests.api import ROOT, Api, problem_of
from tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db


def test_an_answer_says_how_long_it_is_and_sets_no_cookie() -> None:
    response = Api(MerchantFactory()).get("/products")
    assert response.status_code == 200
    assert response["Content-Length"] == str(len(response.content))
    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_host_that_is_not_ours_is_refused() -> None:
    response = Client(headers={"Host": "elsewhere.example"}).get(f"{ROOT}/products")
    assert problem_of(response, 400, "invalid-request")["field"] == "Host"
    page = Client(headers={"Host": "elsewhere.example"}).get("/admin/login/")
    assert (page.status_code, page["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_a_long_answer_is_compressed() -> None:
    api = Api(MerchantFactory())
    Product.objects.bulk_create(Product(merchant=api.merchant, title="Mug") for _ in range(50))
    response = api.get("/products", Accept_Encoding="gzip")
    assert (response["Content-Encoding"], response["Content-Length"]) == ("gzip", str(len(response.content)))


def test_the_page_for_people_is_shown_in_no_frame(client: Client) -> None:
    assert client.get(f"{ROOT}/docs")["X-Frame-Options"] == "DENY"


def test_whoever_is_signed_in_to_the_back_office_is_nobody_here() -> None:
    api = Api(MerchantFactory())
    api.client.force_login(User.objects.create_superuser("root"))
    assert api.client.get(f"{ROOT}/products").status_code == 401
    made = api.post("/products", {"title": "Mug"}).json()
    (noted,) = Product.history.filter(id=made["id"])
    assert (noted.history_user, noted.history_change_reason[:4]) == (None, "API:")


@given(query=st.text(alphabet="ab=&%+ 2/;é\0", max_size=30) | st.text(max_size=30))
def test_a_query_without_escapes_is_read_as_django_reads_it(query: str) -> None:
    read = plain_query(query)
    if read is None:
        assert not query.isascii() or {"%", "+"} & set(query)
    else:
        assert (read, read.encoding) == (QueryDict(query), "utf-8")
        with pytest.raises(AttributeError):
            read["a"] = "b"


def test_too_many_parameters_are_left_to_django() -> None:
    assert plain_query("&".join(["sku=A"] * 1_001)) is None
