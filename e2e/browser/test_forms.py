"""Uploads by form as a browser makes them: sent by a page's script, and by the browser itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.browser.chromium import Page, PageError
from support.rig import REGION, Rig, bucket, eventually

#: Sent by a script, as most pages do it: with progress, and the answer to read.
_SEND = """
const form = new FormData(), told = [];
for (const [name, value] of Object.entries(fields)) form.append(name, value);
form.append('file', new File([new Uint8Array(size).fill(120)], name, {type: 'image/png'}));
const request = new XMLHttpRequest();
request.open('POST', url);
request.upload.onprogress = event => told.push(event.loaded);
await new Promise(done => { request.onloadend = done; request.send(form); });
return {status: request.status, text: request.responseText, etag: request.getResponseHeader('etag'), told};
"""
#: Sent by the browser, which goes where it is led then.
_SUBMIT = """
const form = document.createElement('form');
Object.assign(form, {action: url, method: 'post', enctype: 'multipart/form-data'});
for (const [name, value] of Object.entries(fields))
    form.append(Object.assign(document.createElement('input'), {type: 'hidden', name, value}));
const files = new DataTransfer(), input = document.createElement('input');
files.items.add(new File(['a picture'], name, {type: 'image/png'}));
Object.assign(input, {type: 'file', name: 'file', files: files.files});
form.append(input, Object.assign(document.createElement('input'), {type: 'submit', name: 'go', value: 'Upload'}));
document.body.append(form);
form.requestSubmit(form.lastChild);
return true;
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("forms"))
    rule = {
        "allowedOrigins": [f"http://app.example.com:{port}"],
        "allowedMethods": ["POST"],
        "exposeHeaders": ["ETag"],
    }
    rig.apply("all.yaml", REGION, bucket("uploads", cors=[rule]), bucket("plain"))
    with rig:
        yield rig


def form(rig: Rig, name: str, key: str, fields: dict[str, str] | None = None, *conditions: Any) -> dict[str, Any]:
    named = [{name: value} for name, value in (fields or {}).items()]
    return rig.client(name).generate_presigned_post(name, key, fields or {}, [*named, *conditions])


def where(page: Page) -> str:
    """The page's address; empty while it is on its way to another."""
    try:
        return page.run("return location.href")
    except PageError:
        return ""


def test_a_form_that_a_script_sends(page: Page, rig: Rig) -> None:
    size = 8 << 20
    made = form(rig, "uploads", "in/${filename}", {"Content-Type": "image/png"}, ["content-length-range", 1, size])
    sent = page.run(_SEND, **made, size=size, name='käse "x".png')
    assert sent["status"] == 204, sent
    assert sent["told"] == sorted(sent["told"]) and sent["told"][-1] > size
    # As browsers write a file's name, quotes in it are escaped like in an address (HTML, multipart form data).
    found = rig.client("uploads").head_object(Bucket="uploads", Key="in/käse %22x%22.png")
    assert (found["ContentLength"], found["ContentType"], found["ETag"]) == (size, "image/png", sent["etag"])
    # Refused while the browser sends it, and told to the page.
    sent = page.run(_SEND, **made, size=2 * size, name="a.png")
    assert "<Code>EntityTooLarge</Code>" in sent["text"], sent
    made["fields"]["Content-Type"] = "text/html"
    sent = page.run(_SEND, **made, size=size, name="a.png")
    assert "Policy Condition failed" in sent["text"], sent


def test_a_form_that_the_browser_sends(page: Page, port: int, rig: Rig) -> None:
    """It needs no rule: the browser shows the page nothing, and goes where the form leads."""
    leads = f"http://app.example.com:{port}/done"
    made = form(rig, "plain", "${filename}", {"success_action_redirect": leads})
    assert page.run(_SUBMIT, **made, name="cat.png")
    arrived = eventually("the page", lambda: (at := where(page)).startswith(leads) and at)
    stored = rig.client("plain").get_object(Bucket="plain", Key="cat.png")
    assert stored["Body"].read() == b"a picture"
    etag = stored["ETag"].strip('"')
    assert arrived == f"{leads}?bucket=plain&key=cat.png&etag=%22{etag}%22"
