"""A Bucket's CORS rules as a browser goes by them: what pages of another origin can send, and what they can read."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.browser.chromium import Browser, Page
from e2e.browser.pages import PNG, fetch, picture
from support.rig import KEY_REFUSED, REGION_WITH_DOMAINS, Rig, access_key, bucket, error_code, eventually

Link = Callable[..., str]
#: A page's request that the browser did not send, or whose answer it kept to itself: scripts are told no more.
REFUSED = {"refused": "TypeError: Failed to fetch"}
EVERYBODY = [{"allowedOrigins": ["*"], "allowedMethods": ["GET"]}]
DOMAIN = "shown.example.com"

_UPLOAD = """
const request = new XMLHttpRequest(), told = [];
request.open('PUT', url);
request.setRequestHeader('content-type', type);
request.upload.onprogress = event => told.push([event.loaded, event.total]);
await new Promise(done => { request.onloadend = done; request.send(new Uint8Array(size)); });
return {status: request.status, text: request.responseText, etag: request.getResponseHeader('etag'), told};
"""
_UPLOAD_IN_PARTS = """
const send = async (method, url, body) => {
    const answer = await fetch(url, {method, body});
    return [answer.headers.get('etag'), new DOMParser().parseFromString(await answer.text(), 'text/xml')];
};
const done = [];
for (const [index, url] of urls.entries()) done.push((await send('PUT', url, new Blob(['x'.repeat(sizes[index])])))[0]);
const list = done.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
return (await send('POST', complete, body))[1].querySelector('ETag').textContent;
"""
_NAMES = """
const answer = await fetch(url);
const list = new DOMParser().parseFromString(await answer.text(), 'text/xml');
return [...list.querySelectorAll('Contents > Key')].map(key => key.textContent);
"""


def rules(port: int, *methods: str, **more: object) -> list[dict[str, Any]]:
    """Those for the page of the tests."""
    return [{"allowedOrigins": [f"http://app.example.com:{port}"], "allowedMethods": list(methods), **more}]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("rig"))
    uploads = rules(
        port, "GET", "PUT", allowedHeaders=["content-type", "x-amz-meta-*"], exposeHeaders=["ETag", "x-amz-meta-who"]
    )
    rig.apply(
        "all.yaml",
        REGION_WITH_DOMAINS,
        bucket("uploads", cors=uploads, maxObjectSize="8Mi", allowedContentTypes=["text/*"]),
        bucket("parts", cors=rules(port, "PUT", "POST", exposeHeaders=["ETag"])),
        bucket("shown", visibility="Public", cors=EVERYBODY, domains=[DOMAIN]),
        bucket("plain", visibility="Public"),
    )
    rig.apply("other.yaml", access_key("other", grants=[{"bucket": "uploads"}]))
    with rig:
        yield rig


@pytest.fixture(scope="module")
def link(rig: Rig) -> Link:
    """Makes presigned URLs."""
    clients: dict[str, Any] = {}

    def link(operation: str, name: str, key: str | None = None, **values: object) -> str:
        """`key` is the AccessKey; default: the Bucket's own."""
        client = clients.get(key or name) or clients.setdefault(key or name, rig.client(key or name))
        return client.generate_presigned_url(operation, {"Bucket": name, **values})

    return link


def test_upload_and_read(page: Page, link: Link) -> None:
    upload = link("put_object", "uploads", Key="a", ContentType="text/plain", Metadata={"who": "me"})
    sent = fetch(page, upload, "PUT", body="hello", headers={"content-type": "text/plain", "x-amz-meta-who": "me"})
    assert (sent["status"], sent["type"]) == (200, "cors")
    # What every page may read, and what is exposed, and nothing else.
    assert set(sent["headers"]) == {"content-length", "etag"}

    url = link("get_object", "uploads", Key="a")
    read = fetch(page, url)
    assert (read["status"], read["text"]) == (200, "hello")
    assert read["headers"]["etag"] == sent["headers"]["etag"]
    assert read["headers"]["x-amz-meta-who"] == "me"
    assert "x-amz-request-id" not in read["headers"]
    part = fetch(page, url, headers={"Range": "bytes=1-2"})
    assert (part["status"], part["text"]) == (206, "el")
    again = fetch(page, url, cache="no-cache")  # a conditional request of the browser's own
    assert (again["status"], again["text"]) == (200, "hello")
    assert page.run(_NAMES, url=link("list_objects_v2", "uploads", Prefix="a")) == ["a"]


def test_errors_can_be_read(page: Page, rig: Rig, link: Link) -> None:
    absent = fetch(page, link("get_object", "uploads", Key="none"))
    assert (absent["status"], "<Code>NoSuchKey</Code>" in absent["text"]) == (404, True)
    unsigned = fetch(page, f"{rig.endpoint}/uploads/a")
    assert (unsigned["status"], "<Code>AccessDenied</Code>" in unsigned["text"]) == (403, True)
    # Refused by their headers alone, while the browser sends their body.
    for type_, size, code in (("text/plain", 16 << 20, "EntityTooLarge"), ("a/b", 4 << 20, "ContentTypeNotAllowed")):
        url = link("put_object", "uploads", Key="b", ContentType=type_)
        assert f"<Code>{code}</Code>" in page.run(_UPLOAD, url=url, type=type_, size=size)["text"]

    url = link("get_object", "uploads", "other", Key="none")
    assert fetch(page, url)["status"] == 404
    rig.apply("other.yaml", access_key("other", grants=[{"bucket": "uploads"}], state="Revoked"))
    refused = eventually("the refusal", lambda: (found := fetch(page, url))["status"] == 403 and found)
    assert any(f"<Code>{code}</Code>" in refused["text"] for code in KEY_REFUSED)


def test_what_no_rule_names(browser: Browser, page: Page, port: int, rig: Rig, link: Link) -> None:
    client = rig.client("uploads")
    client.put_object(Bucket="uploads", Key="kept", Body=b"kept", ContentType="text/plain")
    url = link("get_object", "uploads", Key="kept")
    # Another method: one that is asked for before, so that nothing happens, and one that is not.
    assert fetch(page, link("delete_object", "uploads", Key="kept"), "DELETE") == REFUSED
    assert fetch(page, link("head_object", "uploads", Key="kept"), "HEAD") == REFUSED
    # Another header.
    upload = link("put_object", "uploads", Key="new", ContentType="text/plain")
    headers = {"content-type": "text/plain"}
    assert fetch(page, url, headers={"x-other": "1"}) == REFUSED
    assert fetch(page, upload, "PUT", body="x", headers={**headers, "cache-control": "no-store"}) == REFUSED
    # Other origins: another host, another port (the gateway's own has nothing to do with it), none in particular.
    for origin in (f"http://other.example.com:{port}/", f"http://app.example.com:{rig.port}/", "data:text/html,"):
        other = browser.page()
        assert other.go(origin) is None
        assert fetch(other, url) == REFUSED, origin
        assert fetch(other, upload, "PUT", body="x", headers=headers) == REFUSED
        unseen = fetch(other, url, mode="no-cors")  # which the browser sends, and shows nothing of
        assert not unseen.get("status") and not unseen.get("text") and not unseen.get("headers"), origin

    assert fetch(page, url)["text"] == "kept"
    assert error_code(lambda: client.head_object(Bucket="uploads", Key="new")) == "404"


def test_upload_with_progress(page: Page, rig: Rig, link: Link) -> None:
    size = 8 << 20
    url = link("put_object", "uploads", Key="large", ContentType="text/plain")
    sent = page.run(_UPLOAD, url=url, type="text/plain", size=size)
    assert sent["status"] == 200 and sent["etag"]
    loaded = [loaded for loaded, total in sent["told"] if total == size]
    assert loaded == sorted(loaded) and len(loaded) == len(sent["told"]) > 0
    assert loaded[-1] == size
    found = rig.client("uploads").head_object(Bucket="uploads", Key="large")
    assert (found["ContentLength"], found["ETag"]) == (size, sent["etag"])


def test_upload_in_parts(page: Page, rig: Rig, link: Link) -> None:
    client = rig.client("parts")
    given = {"Key": "large", "UploadId": client.create_multipart_upload(Bucket="parts", Key="large")["UploadId"]}
    sizes = [5 << 20, 1000]
    urls = [link("upload_part", "parts", PartNumber=number, **given) for number in (1, 2)]
    complete = link("complete_multipart_upload", "parts", **given)
    etag = page.run(_UPLOAD_IN_PARTS, urls=urls, sizes=sizes, complete=complete)
    found = client.head_object(Bucket="parts", Key="large")
    assert (found["ContentLength"], found["ETag"]) == (sum(sizes), etag)


def test_edit_of_the_rules(page: Page, port: int, rig: Rig, link: Link) -> None:
    rig.apply("edited.yaml", bucket("edited"))
    client = rig.client("edited")
    client.put_object(Bucket="edited", Key="a", Body=b"seen")
    url = link("get_object", "edited", Key="a")
    assert fetch(page, url) == REFUSED
    rig.apply("edited.yaml", bucket("edited", cors=rules(port, "GET", "PUT", maxAge="10m")))
    began = time.monotonic()
    eventually("the rule", lambda: fetch(page, url).get("text") == "seen")
    print(f"\na page can read {(time.monotonic() - began) * 1000:.0f} ms after the edit")
    assert time.monotonic() - began < 2

    # Taken away, answers cannot be read any more, but for what the browser has kept of them. What it was allowed for
    # `maxAge` it still sends.
    upload = link("put_object", "edited", Key="b")
    assert fetch(page, upload, "PUT", body="1")["status"] == 200
    rig.apply("edited.yaml", bucket("edited"))
    began = time.monotonic()
    eventually("the end of the rule", lambda: fetch(page, url, cache="no-store") == REFUSED)
    assert time.monotonic() - began < 2
    assert fetch(page, upload, "PUT", body="22") == REFUSED
    assert client.get_object(Bucket="edited", Key="b")["Body"].read() == b"22"


def test_public_objects(page: Page, rig: Rig) -> None:
    for name in ("plain", "shown"):
        rig.client(name).put_object(Bucket=name, Key="dot.png", Body=PNG, ContentType="image/png")
    at_domain = f"http://{DOMAIN}:{rig.port}/dot.png"
    eventually("the domain", lambda: fetch(page, at_domain).get("status") == 200)
    for url in (f"{rig.endpoint}/public/shown/dot.png", at_domain):
        assert fetch(page, url)["headers"]["content-length"] == str(len(PNG))
        assert picture(page, url) == picture(page, url, cors=True) == 1
    absent = fetch(page, f"{rig.endpoint}/public/shown/none")
    assert (absent["status"], "<Code>AccessDenied</Code>" in absent["text"]) == (403, True)
    # Without rules a page can show it and not read it.
    plain = f"{rig.endpoint}/public/plain/dot.png"
    assert fetch(page, plain) == REFUSED
    assert (picture(page, plain), picture(page, plain, cors=True)) == (1, None)


def test_credentials(page: Page, rig: Rig, link: Link) -> None:
    """A page that would send a user's cookies along: not for any page at all, as all browsers have it."""
    rig.client("shown").put_object(Bucket="shown", Key="a", Body=b"seen")
    rig.client("uploads").put_object(Bucket="uploads", Key="c", Body=b"seen", ContentType="text/plain")
    assert fetch(page, f"{rig.endpoint}/public/shown/a", credentials="include") == REFUSED
    assert fetch(page, f"{rig.endpoint}/public/shown/a", credentials="omit")["text"] == "seen"
    assert fetch(page, link("get_object", "uploads", Key="c"), credentials="include")["text"] == "seen"


def test_what_the_browser_keeps(page: Page, port: int, rig: Rig) -> None:
    """A picture that was shown, and is then read: an answer that no page may read must not be taken for the other."""
    for name in ("shown", "later"):
        rig.apply("later.yaml", bucket("later", visibility="Public"))
        kept = {"Key": "kept.png", "Body": PNG, "ContentType": "image/png", "CacheControl": "max-age=3600"}
        rig.client(name).put_object(Bucket=name, **kept)
    shown, later = (f"{rig.endpoint}/public/{name}/kept.png" for name in ("shown", "later"))
    assert (picture(page, shown), picture(page, later)) == (1, 1)
    assert fetch(page, shown)["status"] == 200
    # Rules came later than the answer that was kept: it is gone by until it is too old, or asked for anew.
    rig.apply("later.yaml", bucket("later", visibility="Public", cors=EVERYBODY))
    eventually("the rule", lambda: fetch(page, f"{later}?fresh={time.monotonic()}").get("status") == 200)
    assert fetch(page, later) == REFUSED
    assert fetch(page, later, cache="reload")["status"] == 200
    assert fetch(page, later)["status"] == 200
