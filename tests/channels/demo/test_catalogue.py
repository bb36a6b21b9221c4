"""The demo's catalogue is believable, and the same on every machine."""

import hashlib
from decimal import Decimal

import pytest

from channels.demo.catalogue import LOCATIONS, catalogue, gtin13


def test_the_catalogue_has_1200_variants_under_distinct_skus_and_gtins() -> None:
    items = catalogue()

    assert len(items) == 1200
    assert len({item.sku for item in items}) == 1200
    assert len({item.gtin for item in items}) == 1200


def test_every_gtin_has_13_digits_and_the_right_check_digit() -> None:
    for item in catalogue():
        assert len(item.gtin) == 13
        assert item.gtin.isdecimal()
        weights = [1, 3] * 6 + [1]
        assert sum(int(digit) * weight for digit, weight in zip(item.gtin, weights, strict=True)) % 10 == 0


def test_the_check_digit_of_a_published_example_is_right() -> None:
    # GS1's own example of a GTIN-13.
    assert gtin13(629104150021) == "6291041500213"
    assert gtin13(0) == "0000000000000"


def test_the_catalogue_is_the_same_on_every_machine() -> None:
    text = repr([(i.sku, i.gtin, i.product, i.option, i.price, i.quantities) for i in catalogue()])

    assert hashlib.sha256(text.encode()).hexdigest() == (
        "1accbf831562acf37e63118499d70e7598eb69ad11b9bd1f0bf6af77ab19e550"
    )


def test_another_seed_gives_another_catalogue() -> None:
    assert catalogue(50, seed=7) == catalogue(50, seed=7)
    assert catalogue(50, seed=7) != catalogue(50, seed=8)


def test_a_smaller_catalogue_is_the_beginning_of_a_larger_one() -> None:
    assert catalogue(10) == catalogue(1200)[:10]


def test_variants_of_one_product_share_its_category_and_price_and_differ_in_their_option() -> None:
    products: dict[str, list[tuple[str, Decimal]]] = {}
    options: dict[str, list[str]] = {}
    for item in catalogue():
        products.setdefault(item.product, []).append((item.category, item.price))
        options.setdefault(item.product, []).append(item.option)

    assert all(len(set(shared)) == 1 for shared in products.values())
    assert all(len(set(of_product)) == len(of_product) for of_product in options.values())


def test_stock_lies_in_the_demo_s_three_locations_and_some_of_it_is_scarce() -> None:
    codes = {code for code, *_ in LOCATIONS}
    items = catalogue()

    assert len(codes) == 3
    assert all(set(item.quantities) == codes for item in items)
    assert all(units >= 0 for item in items for units in item.quantities.values())
    totals = sorted(sum(item.quantities.values()) for item in items)
    assert totals[0] > 0
    assert totals[60] < 10
    assert totals[-1] > 200


def test_prices_are_positive_and_have_whole_cents() -> None:
    assert all(item.price > 0 and item.price == round(item.price, 2) for item in catalogue())


def test_texts_fit_into_their_columns() -> None:
    assert all(len(item.sku) <= 128 and len(item.title) <= 300 for item in catalogue())


def test_no_two_products_would_get_the_same_sku_even_when_all_of_them_are_made() -> None:
    items = catalogue(7000)

    assert len({item.sku for item in items}) == 7000


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fewer than 1000000"):
        catalogue(1_000_000)
