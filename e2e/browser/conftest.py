"""The browser, and the port of its pages. No cluster is needed here."""

import os
from collections.abc import Iterator

import pytest

from e2e.browser import pages
from e2e.browser.chromium import Browser, Page, program, running
from e2e.kind.steps import StepFailed


@pytest.fixture(scope="session")
def running_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests. Where it cannot be had these are skipped, in CI they fail."""
    try:
        found = program()
    except StepFailed as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with running(found, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(running_browser: Browser) -> Iterator[Browser]:
    """The same, without a page."""
    yield running_browser
    running_browser.close_pages()


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """At which pages of every host are."""
    with pages.served() as port:
        yield port


@pytest.fixture
def page(browser: Browser, port: int) -> Page:
    """A page of http://app.example.com:<port>."""
    page = browser.page()
    assert page.go(f"http://app.example.com:{port}/") is None
    return page
