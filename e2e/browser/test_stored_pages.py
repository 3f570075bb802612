"""What is stored, opened as a page: its script may what anybody may. Answers of the gateway's own run none."""

from collections.abc import Iterator

import pytest
from botocore.handlers import set_list_objects_encoding_type_url

from e2e.browser.chromium import Browser, Page
from e2e.browser.pages import fetch
from support.rig import REGION_WITH_DOMAINS, Rig, bucket, error_code, eventually

DOMAIN = "site.example.com"
_RUN = "window.ran = true"
_HTML = f"<!doctype html><script>{_RUN}</script>"
_SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{_RUN}</script></svg>'
_XML = f'<page><script xmlns="http://www.w3.org/1999/xhtml">{_RUN}</script></page>'
#: A name that is a script, were it written into XML as it is.
_NAME = f"<script xmlns='http://www.w3.org/1999/xhtml'>{_RUN}</script>"
_WORKER = """
try {
    await navigator.serviceWorker.register(url, {scope});
    return null;
} catch (error) {
    return error.name;
}
"""


def ran(page: Page) -> bool:
    return page.run("return window.ran === true")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("rig"))
    site = bucket("site", visibility="Public", domains=[DOMAIN])
    pictures = bucket("pictures", visibility="Public", allowedContentTypes=["image/png", "*/*+json", "text/plain"])
    rig.apply("all.yaml", REGION_WITH_DOMAINS, site, pictures, bucket("other", visibility="Public"), bucket("secret"))
    with rig:
        for name in ("site", "other", "secret"):
            client = rig.client(name)
            client.put_object(Bucket=name, Key="page", Body=_HTML, ContentType="text/html")
            client.put_object(Bucket=name, Key="drawing", Body=_SVG, ContentType="image/svg+xml")
            client.put_object(Bucket=name, Key="data", Body=_XML, ContentType="application/xml")
            client.put_object(Bucket=name, Key="worker", Body="", ContentType="text/javascript")
            client.put_object(Bucket=name, Key="text", Body=_HTML, ContentType="text/plain")
            client.put_object(Bucket=name, Key="none", Body=_HTML)
            client.put_object(Bucket=name, Key=_NAME, Body="")
        yield rig


@pytest.mark.parametrize("name", ["page", "drawing", "data"])
def test_its_script_may_what_anybody_may(browser: Browser, rig: Rig, name: str) -> None:
    page = browser.page()
    assert page.go(f"{rig.endpoint}/public/site/{name}") is None
    assert ran(page)
    assert page.run("return document.cookie") == ""
    assert fetch(page, "/public/other/text")["text"] == _HTML  # which it is to everybody
    for path in ("/secret/page", "/public/secret/page", "/public/site/", "/site/?list-type=2", "/"):
        for credentials in ("include", "omit"):
            assert fetch(page, path, credentials=credentials)["status"] == 403, path
    for path in ("/public/site/page", "/site/page", "/public/other/page"):
        assert fetch(page, path, "PUT", body="changed")["status"] in (403, 405), path
        assert fetch(page, path, "DELETE")["status"] in (403, 405), path
    assert rig.client("site").get_object(Bucket="site", Key="page")["Body"].read() == _HTML.encode()
    # Nor does it come between other buckets and who reads them later: what is stored says no `Service-Worker-Allowed`.
    for scope in ("/", "/public/", "/public/other/"):
        assert page.run(_WORKER, url="/public/site/worker", scope=scope) == "SecurityError", scope


def test_its_domain_is_an_origin_of_its_own(browser: Browser, rig: Rig) -> None:
    page = browser.page()
    eventually("the domain", lambda: page.go(f"http://{DOMAIN}:{rig.port}/page") is None and ran(page))
    assert fetch(page, "/text")["status"] == 200
    for path in ("/", "/page/", "/public/other/text", "/secret/page"):
        assert fetch(page, path)["status"] == 403, path
    assert "refused" in fetch(page, f"{rig.endpoint}/public/other/text")  # that bucket has no rules


def test_what_is_no_page(browser: Browser, rig: Rig) -> None:
    page = browser.page()
    assert page.go(f"{rig.endpoint}/public/site/text") is None
    assert not ran(page)
    assert page.go(f"{rig.endpoint}/public/site/none") == "net::ERR_ABORTED"  # it is saved, not shown
    # Nobody makes a page of it by asking for it as one.
    assert page.go(f"{rig.endpoint}/public/site/text?response-content-type=text/html") is None
    assert not ran(page)


def test_answers_of_the_gateway_run_nothing(browser: Browser, rig: Rig) -> None:
    """Errors and lists repeat what they were asked about."""
    client, page = rig.client("site"), browser.page()
    # boto3 asks for names that are percent-encoded, others do not.
    client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", set_list_objects_encoding_type_url)
    lists = [
        client.generate_presigned_url("list_objects_v2", {"Bucket": "site", **asked})
        for asked in ({"Prefix": "<"}, {"Prefix": _NAME}, {"StartAfter": _NAME, "Delimiter": _NAME})
    ]
    for url in (f"{rig.endpoint}/public/site/{_NAME}x", f"{rig.endpoint}/{_NAME}", *lists):
        assert page.go(url) is None, url
        assert page.run("return document.contentType") == "application/xml"
        assert "script" in page.run("return document.documentElement.textContent"), url
        assert not ran(page), url


def test_no_type_hides_another(browser: Browser, rig: Rig) -> None:
    """A browser takes the last of several types, and guesses where it can make nothing of one."""
    client, page = rig.client("pictures"), browser.page()
    for type_ in (
        "image/png, text/html",
        "image/png;a=1,text/html",
        'image/png;a="b,text/html',
        "text/html(/a+json",
        "text/html /a+json",
        "text/html,/a+json",
    ):
        upload = {"Bucket": "pictures", "Key": "page", "Body": _HTML, "ContentType": type_}
        code = error_code(lambda upload=upload: client.put_object(**upload), "allowed")
        page.go(f"{rig.endpoint}/public/pictures/page")
        assert not ran(page), type_
        assert code == "ContentTypeNotAllowed", type_
