"""Options of all the tests."""

import pytest
from hypothesis import settings

# A busy machine makes any example slow now and then: no example is a timed test.
settings.register_profile("cooper", deadline=None)
settings.load_profile("cooper")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--soak`."""
    parser.addoption("--soak", action="store_true", help="the long runs of the same tests")
