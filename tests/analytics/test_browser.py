"""The back office as a person sees it, in a real browser: live figures, stock moved once, both themes, narrow screens."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from inventory.models import StockLevel
from inventory.stock import StockLine, receive
from tests.back_office import SECRET, Business, person

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("processes"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]

#: Without these Chromium asks for hosts of its own maker.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright's own loop runs in this thread, which Django takes for asynchronous code.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
    if before is not None:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def business() -> Business:
    cache.clear()
    return Business.grown(2)


def sign_in(context: BrowserContext, server: LiveServer, role: str) -> None:
    client = Client()
    client.force_login(person(role))
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server.url}]
    )


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complained about; must stay empty."""
    return []


@pytest.fixture
def page(
    browser: Browser, live_server: LiveServer, business: Business, complaints: list[str]
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    sign_in(context, live_server, "operations")
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: complaints.append(request.url) if is_foreign(request.url, live_server) else None,
    )
    yield page
    context.close()


def is_foreign(url: str, server: LiveServer) -> bool:
    return not url.startswith((server.url, "data:", "blob:"))


def figure(page: Page, name: str) -> Any:
    return page.locator(".oc-figure", has=page.get_by_text(name, exact=True)).locator("dd").first


def test_the_dashboard_shows_a_movement_without_being_reloaded(
    page: Page, live_server: LiveServer, business: Business, complaints: list[str]
) -> None:
    page.goto(f"{live_server.url}{reverse('admin:index')}")
    expect(figure(page, "On hand")).to_have_text("20")
    expect(page.get_by_role("status")).to_have_text("Live, every 2 seconds.")
    variant, location = business.variants[0], business.locations[0]
    receive(business.context(), [StockLine(variant.pk, location.pk, 1_234)])
    expect(figure(page, "On hand")).to_have_text("1,254", timeout=15_000)
    expect(page.locator("time[data-age]").first).to_contain_text("ago")
    assert complaints == []


def test_the_dashboard_says_when_the_server_is_gone_and_when_one_is_signed_out(
    page: Page, live_server: LiveServer
) -> None:
    page.goto(f"{live_server.url}{reverse('admin:index')}")
    status = page.get_by_role("status")
    expect(status).to_have_text("Live, every 2 seconds.")
    page.route("**/admin/live/", lambda route: route.abort())
    expect(status).to_contain_text("does not answer", timeout=15_000)
    page.unroute("**/admin/live/")
    expect(status).to_have_text("Live, every 2 seconds.", timeout=30_000)
    page.context.clear_cookies()
    expect(status).to_contain_text("signed out", timeout=15_000)


def test_nothing_is_asked_for_in_a_hidden_tab(page: Page, live_server: LiveServer) -> None:
    page.add_init_script(
        "Object.defineProperty(document, 'hidden', { get: () => window.isHidden === true, configurable: true });"
    )
    page.goto(f"{live_server.url}{reverse('admin:index')}")
    expect(page.get_by_role("status")).to_have_text("Live, every 2 seconds.")
    page.evaluate("window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'));")
    expect(page.get_by_role("status")).to_contain_text("Paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(5_000)
    assert asked == []
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'));")
    expect(page.get_by_role("status")).to_have_text("Live, every 2 seconds.")


def test_stock_is_received_once_by_typing_a_sku_and_clicking_twice(
    page: Page, live_server: LiveServer, business: Business, complaints: list[str]
) -> None:
    variant, location = business.variants[0], business.locations[0]
    page.goto(f"{live_server.url}{reverse('admin:inventory_receive')}")
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill(variant.sku)
    page.locator(".select2-results__option", has_text=variant.sku).first.click()
    page.get_by_label("Location").select_option(str(location.pk))
    page.get_by_label("Units received").fill("30")
    page.get_by_role("button", name="Record").dblclick()
    expect(page.get_by_text("Receive stock: recorded")).to_be_visible()
    assert StockLevel.objects.get(variant=variant, location=location).on_hand == 40
    assert complaints == []


def test_the_movements_of_a_variant_lead_to_the_order_behind_them(
    page: Page, live_server: LiveServer, business: Business
) -> None:
    page.goto(f"{live_server.url}{reverse('admin:inventory_variant_change', args=[business.variants[0].pk])}")
    page.get_by_role("link", name="Movements", exact=True).last.click()
    page.get_by_role("link", name="#").first.click()
    expect(page.get_by_role("heading", name="Lines")).to_be_visible()


def test_a_channel_is_paused_by_a_button_and_its_secret_is_nowhere(
    page: Page, live_server: LiveServer, business: Business
) -> None:
    channel = business.channels[0]
    page.goto(f"{live_server.url}{reverse('admin:channels_channel_change', args=[channel.pk])}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("1 channel paused.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert SECRET not in page.content()


PAGES = [
    "admin:index",
    "admin:channels_stock_grid",
    "admin:channels_unmapped",
    "admin:inventory_receive",
    "admin:inventory_variant_changelist",
    "admin:channels_listinglevel_changelist",
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_is_wider_than_the_screen_and_every_text_can_be_read(
    page: Page, live_server: LiveServer, width: int, theme: str, complaints: list[str]
) -> None:
    page.add_init_script(f"localStorage.setItem('_x_adminTheme', JSON.stringify('{theme}'))")
    page.set_viewport_size({"width": width, "height": 800})
    for name in PAGES:
        page.goto(f"{live_server.url}{reverse(name)}")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(_FAINT) == [], name
    assert complaints == []


#: Texts of our own classes whose contrast with what is behind them is below 4.5 (WCAG AA).
_FAINT = """
() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = rgb(getComputedStyle(each).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const faint = [];
    for (const element of document.querySelectorAll('[class*="oc-"], [class*="oc-"] *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.offsetParent || element.matches('.material-symbols-outlined')) continue;
        const pair = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
        const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (contrast < 4.5) faint.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${contrast.toFixed(2)}`);
    }
    return faint;
}
"""


def test_every_input_has_a_name_and_every_page_one_heading(page: Page, live_server: LiveServer) -> None:
    for name in PAGES:
        page.goto(f"{live_server.url}{reverse(name)}")
        assert page.locator("h1").count() == 1, name
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("#content input, #content select, #content textarea, #content button")]
                .filter((e) => e.type !== "hidden" && e.offsetParent && !e.labels?.length && !e.ariaLabel && !e.title
                    && !e.textContent.trim() && !e.placeholder)
                .map((e) => e.outerHTML.slice(0, 100))"""
        )
        assert nameless == [], name
