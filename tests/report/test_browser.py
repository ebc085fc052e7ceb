"""The report in a real browser: content, no overflow on a phone or a desk, dark and light, and not one request to anywhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perene.report.page import page
from tests.health.cluster import tier
from tests.programs import needs
from tests.report.evidence import NOW, life

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
pytestmark = needs("chromium", "chromedriver")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(tier(), life(), NOW))
    return path


def show(browser: Any, file: Path, width: int, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(file.as_uri())


def luminance(browser: Any, selector: str, what: str) -> float:
    """Relative luminance of a colour of an element (WCAG)."""
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    numbers = browser.execute_script(script, selector, what)
    channels = [int(part.strip()) / 255 for part in numbers.split("(")[1].rstrip(")").split(",")[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_overflows(browser: Any, file: Path, width: int, scheme: str) -> None:
    show(browser, file, width, scheme)
    script = """return [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
        || (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != 'inline' && e.clientWidth > 0 && !e.closest('svg')))
        .map(e => e.tagName + '.' + e.className)"""
    assert browser.execute_script(script) == [], f"something is wider than its place at {width} px"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_the_dark_and_in_the_light(browser: Any, file: Path, scheme: str) -> None:
    show(browser, file, 1440, scheme)
    paper = luminance(browser, "body", "backgroundColor")
    assert (paper < 0.2) == (scheme == "dark"), "the page follows the reader's scheme"
    for selector in ("body", ".soft", ".calendar .made", ".calendar .proven", ".calendar .failed", ".calendar .missing", ".verdict"):
        text = luminance(browser, selector, "color")
        own = browser.execute_script("return getComputedStyle(document.querySelector(arguments[0])).backgroundColor", selector)
        back = paper if own in {"rgba(0, 0, 0, 0)", "transparent"} else luminance(browser, selector, "backgroundColor")
        contrast = (max(text, back) + 0.05) / (min(text, back) + 0.05)
        assert contrast >= 4.5, f"{selector} has a contrast of {contrast:.1f} in {scheme}"


def test_it_shows_the_tier_the_calendar_the_plot_and_the_goals(browser: Any, file: Path) -> None:
    show(browser, file, 1440, "light")
    text = browser.find_element("tag name", "body").text
    for part in ("direito-lux dev", "Data comes back", "Backup repository", "The tier", "RPO goal", "1h"):
        assert part in text, part
    assert len(browser.find_elements("css selector", ".calendar .proven")) > 10
    assert len(browser.find_elements("css selector", ".calendar .failed")) == 1
    assert len(browser.find_elements("css selector", ".calendar .missing")) == 1
    circles = browser.find_elements("css selector", "svg circle")
    assert len(circles) == len(life().drills)
    assert all(circle.rect["height"] > 0 for circle in circles), "every drill is drawn"


def test_it_asks_nothing_of_anybody(browser: Any, file: Path) -> None:
    browser.get_log("performance")
    show(browser, file, 1440, "light")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert asked, "the recording works: the page itself is in it"
    assert [url for url in asked if not url.startswith(("file://", "data:"))] == []
    assert [url for url in asked if url.startswith("file://")] == [file.as_uri()]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
