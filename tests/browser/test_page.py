"""The page in a real browser: it shows what is wrong, stays live by itself, and reads well."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dispensed.devices.supervisor import Link
from dispensed.ledger import catalog
from dispensed.model.catalog import LotState
from tests.system.web_bench import LISINOPRIL, STAMP, Bench, bench, trouble

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no program called chromium is installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def page(browser: Browser, site: Bench) -> Iterator[Page]:
    """A signed-in page at 1280 px that said it is live; its console stays empty."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.goto(f"{site.base_url}/sign-in?token={site.token}")
    expect(made.locator("#live-text")).to_have_text("Live", timeout=WAIT_MS)
    yield made
    context.close()
    assert said == []


def test_the_page_shows_stock_devices_and_what_waits(page: Page) -> None:
    assert page.url.endswith("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Corner Pharmacy")
    expect(page.locator("#devices li")).to_have_count(4)
    row = page.locator("#stock tr.item", has_text="Oxycodone hydrochloride 5 mg")
    expect(row.locator("td")).to_have_text(["120.5", "0", "20.5", "100", "EA"])
    expect(page.locator("#expiring tbody tr")).to_have_count(2)
    expect(page.locator("#expiring tbody tr").first).to_contain_text("expired")
    expect(page.locator("#discrepancies")).to_contain_text("The book agrees with every machine.")


def test_a_device_that_goes_down_is_shown_without_a_reload(page: Page, site: Bench) -> None:
    page.evaluate("window.untouched = true")
    tile = page.locator("a[href='#devices']")
    expect(tile).to_contain_text("4 of 4")
    site.links[0] = replace(site.links[0], state=Link.DOWN, reason="connection refused")
    site.notify("devices")
    expect(page.locator("#devices li").first).to_contain_text("down", timeout=WAIT_MS)
    expect(page.locator("#devices li").first).to_contain_text("connection refused")
    expect(tile).to_contain_text("3 of 4", timeout=WAIT_MS)
    expect(tile).to_contain_text("down: robot1")
    site.links[0] = replace(site.links[0], state=Link.UP, reason="")
    site.notify("devices")
    expect(tile).to_contain_text("4 of 4", timeout=WAIT_MS)
    assert page.evaluate("window.untouched") is True


def test_a_difference_on_a_controlled_item_appears_by_itself(page: Page, site: Bench) -> None:
    site.store.write_sync(trouble)
    site.notify("discrepancies")
    row = page.locator("#discrepancies tbody tr")
    expect(row).to_have_count(1, timeout=WAIT_MS)
    expect(row).to_contain_text("CII")
    expect(row).to_contain_text("\N{MINUS SIGN}2 EA")


def test_an_item_unfolds_to_its_lots_and_stays_open_while_stock_changes(
    page: Page, site: Bench
) -> None:
    page.get_by_role("link", name="Lisinopril 10 mg").click()
    lots = page.locator("#stock tr.lot")
    expect(lots).to_have_count(2, timeout=WAIT_MS)
    expect(lots.first).to_contain_text("released")
    site.store.write_sync(
        lambda tx: catalog.set_lot_state(tx, LISINOPRIL, "L25C", LotState.HOLD, STAMP)
    )
    site.notify("stock")
    expect(lots.nth(1)).to_contain_text("hold", timeout=WAIT_MS)
    assert f"open={LISINOPRIL}" in page.url
    page.reload()
    expect(page.locator("#stock tr.lot")).to_have_count(2)
    page.get_by_role("link", name="Lisinopril 10 mg").click()
    expect(page.locator("#stock tr.lot")).to_have_count(0, timeout=WAIT_MS)


def test_typing_finds_items_and_keeps_the_cursor(page: Page) -> None:
    field = page.get_by_role("searchbox")
    field.press_sequentially("OX8", delay=5)
    rows = page.locator("#stock tr.item")
    expect(rows).to_have_count(1, timeout=WAIT_MS)
    expect(rows).to_contain_text("Oxycodone")
    expect(field).to_be_focused()
    expect(field).to_have_value("OX8")
    field.fill("nothing like it")
    expect(page.locator("#stock")).to_contain_text("Nothing in stock matches", timeout=WAIT_MS)


def test_a_lost_connection_is_said_and_the_way_back_too(page: Page) -> None:
    page.context.set_offline(offline=True)
    page.evaluate("source.dispatchEvent(new Event('error'))")
    expect(page.locator("#live-text")).to_have_text("Connection lost, trying again")
    page.context.set_offline(offline=False)
    page.evaluate("source.dispatchEvent(new Event('open'))")
    expect(page.locator("#live-text")).to_have_text("Live", timeout=WAIT_MS)


def test_the_page_reads_and_searches_without_javascript(browser: Browser, site: Bench) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.base_url}/")
    page.get_by_label("Access token").fill(site.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#live-text")).to_contain_text("As of Sun 22 Nov 2026, 08:00:00 EST")
    page.get_by_role("searchbox").fill("lisin")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#stock tr.item")).to_have_count(1)
    page.get_by_role("link", name="Lisinopril 10 mg").click()
    expect(page.locator("#stock tr.lot")).to_have_count(2)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_runs_off_the_side_and_every_text_has_contrast(
    browser: Browser, site: Bench, width: int, scheme: Literal["light", "dark"]
) -> None:
    site.store.write_sync(trouble)
    site.links[0] = replace(site.links[0], state=Link.DOWN, reason="connection refused")
    site.links[1] = replace(site.links[1], state=Link.DEGRADED, reason="slow")
    site.jobs.failing = {"verify": "movement 4 differs"}
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{site.base_url}/sign-in?token={site.token}")
    page.goto(f"{site.base_url}/?open={LISINOPRIL}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WEAKEST_CONTRAST) >= 4.5
    context.close()


def test_every_table_names_its_rows_and_columns(page: Page) -> None:
    assert page.locator("table").count() >= 3
    assert page.locator("table th:not([scope])").count() == 0
    assert page.locator("tbody tr:not(:has(th[scope=row]))").count() == 0
    assert page.locator("input:not([type=hidden])").evaluate_all(
        "fields => fields.every(field => field.labels.length > 0)"
    )


WEAKEST_CONTRAST = """
() => {
  const channels = (text) => text.match(/[0-9.]+/g).map(Number);
  const ground = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let weakest = 21;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== "",
    );
    if (!own || element.offsetParent === null) continue;
    const text = luminance(channels(getComputedStyle(element).color));
    const behind = luminance(ground(element));
    const ratio = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    weakest = Math.min(weakest, ratio);
  }
  return weakest;
}
"""
"""Contrast of the worst text on the page. Source: WCAG 2.2, relative luminance; AA asks for 4.5."""
