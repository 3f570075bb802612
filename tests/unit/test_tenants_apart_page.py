"""The page on what was tried across namespaces names tests that are there, and all of those that are about it."""

from support.pages import ROOT, named_tests, names_of_tests

PAGE = (ROOT / "docs" / "tenants-apart.md").read_text()


def test_each_row_is_a_test() -> None:
    assert len(named_tests(PAGE)) > 10


def test_each_test_has_a_row() -> None:
    missing = {each for each in names_of_tests("e2e/system/test_tenants_apart.py") if each not in PAGE}
    assert not missing
