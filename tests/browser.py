"""A browser without a window: Debian's Chromium, which Selenium drives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 60
WIDTH, HEIGHT = 1280, 800


class Browser:
    """One browser with one page; a context manager."""

    def __init__(self) -> None:
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            reason = "no browser (Debian: chromium, chromium-driver)"
            if os.environ.get("CI"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        # Its sandbox refuses root, its shared memory is small in containers, and no proxy leads to the loopback address.
        for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "no-proxy-server", f"window-size={WIDTH},{HEIGHT}"):
            options.add_argument(f"--{switch}")
        self._driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._driver.quit()

    @property
    def address(self) -> str:
        """Where the window is, without its frames."""
        return str(self._driver.current_url)

    @property
    def text(self) -> str:
        """What can be read on the page, or in the frame."""
        return self.find("body").text

    def open(self, address: str) -> None:
        """Go to a page."""
        self._driver.get(address)

    def find(self, selector: str) -> WebElement:
        """Wait for an element that a CSS selector or an XPath (with a slash at its start) finds, and return it."""
        return self._wait(conditions.visibility_of_element_located(_by(selector)), selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are there now."""
        found: list[WebElement] = self._driver.find_elements(*_by(selector))
        return found

    def type(self, selector: str, text: str) -> None:
        """Type into a field, once it is there."""
        self.find(selector).send_keys(text)

    def click(self, selector: str) -> None:
        """Wait until an element can be clicked, and do so."""
        self._wait(conditions.element_to_be_clickable(_by(selector)), selector).click()

    def point_at(self, selector: str) -> None:
        """Move the pointer over an element."""
        ActionChains(self._driver).move_to_element(self.find(selector)).perform()

    def enter_frame(self, selector: str = "iframe") -> None:
        """Go on inside a frame."""
        self._wait(conditions.frame_to_be_available_and_switch_to_it(_by(selector)), selector)

    def leave_frame(self) -> None:
        """Go on outside of all frames."""
        self._driver.switch_to.default_content()

    def wait(self, reached: Callable[[], object], what: str) -> None:
        """Wait until something holds."""
        self._wait(lambda _: reached(), what)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a piece of JavaScript and return what it returns."""
        return self._driver.execute_script(script, *arguments)

    def prefer(self, scheme: str) -> None:
        """Prefer ``light`` or ``dark``, as the settings of a system do."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """Return what the console complains of, such as what a Content-Security-Policy has stopped."""
        return [entry["message"] for entry in self._driver.get_log("browser") if entry["level"] == "SEVERE"]

    def screenshot(self, file: Path | None, *, height: int = HEIGHT) -> None:
        """Save what the window shows as a PNG; without a file, nothing."""
        if file is not None:
            self._driver.set_window_size(WIDTH, height)
            self._driver.save_screenshot(str(file))
            self._driver.set_window_size(WIDTH, HEIGHT)

    def _wait(self, condition: Any, what: str) -> Any:
        return WebDriverWait(self._driver, SECONDS).until(condition, f"Not within {SECONDS} s: {what}")


def _by(selector: str) -> tuple[str, str]:
    return (By.XPATH if selector.startswith("/") else By.CSS_SELECTOR), selector
