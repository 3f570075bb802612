"""What a gateway listens on and says: no port, page, header or name that gives a stranger more than he may have."""

import os
import re
from pathlib import Path

import pytest

from cooper_gateway.native import PURE
from cooper_gateway.protocol import chunked, sigv4
from cooper_gateway.protocol.errors import S3Error
from support import s3_signing as signing
from support.attack_field import Field
from support.forms import Signer
from support.raw_s3 import RawS3

ROOT = Path(__file__).parents[2]
ODD = b"a<b>&\"'\r\n]]>\xc3\xbc"
ODD_PATH = "/mine/a%3Cb%3E%26%22%27%0D%0A%5D%5D%3E%C3%BC"


def listening(pids: set[int]) -> set[int]:
    """TCP ports that processes listen on."""
    sockets: set[str] = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                continue  # closed in between
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


@pytest.mark.usefixtures("lives_and_holds_what_it_held")
def test_there_is_no_port_but_those_that_are_told(field: Field) -> None:
    pids = {pid for each in field.rig.processes().values() for pid in each}
    assert field.rig.process is not None
    assert listening(pids | {field.rig.process.pid}) == {field.rig.port, field.rig.metrics_port}


@pytest.mark.usefixtures("lives_and_holds_what_it_held")
def test_the_metrics_port_has_three_pages_and_takes_nothing(field: Field) -> None:
    metrics = RawS3(field.rig.metrics_port)
    for path in ("/", "/debug", "/debug/pprof", "/records", "/../metrics", "/metrics/..", "/%6detrics"):
        assert metrics.ask("GET", path).status in (400, 404), path
    for path in ("/metrics", "/livez", "/readyz"):
        assert metrics.ask("GET", path).status == 200
        for method in ("POST", "PUT", "DELETE"):
            assert metrics.ask(method, path, body=b"").status in (400, 404, 405, 501), (method, path)


def test_headers_of_the_stores_own_do_nothing(field: Field) -> None:
    """CVE-2026-34204"""
    theirs = {"x-cooper-data-id": "00000000-0000-4000-8000-000000000000", "x-cooper-content": "closed"}
    assert field.mine.ask("GET", "/mine/a", theirs).body == b"mine"
    named = {
        "x-amz-meta-x-cooper-key": "AAAA",
        "x-amz-meta-x-amz-key": "AAAA",
        "x-amz-meta-etag": "0",
        "x-amz-meta-content-length": "1",
        **theirs,
    }
    assert field.mine.ask("PUT", "/mine/named", named, b"as it was sent").status == 200
    answer = field.mine.ask("GET", "/mine/named")
    assert answer.body == b"as it was sent"
    head = answer.raw.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\ncontent-length: 14\r\n" in head
    assert head.count(b"\r\netag:") == 1
    assert b"\r\nx-cooper-" not in head
    assert field.mine.ask("DELETE", "/mine/named").status == 204
    assert field.holds() == field.before


def test_names_are_written_so_that_no_answer_is_changed_by_them(field: Field) -> None:
    """CVE-2020-10753, CVE-2021-3524: in each answer that has names in it."""
    mine = field.mine
    assert mine.ask("PUT", ODD_PATH, body=b"x").status == 200
    upload_id = mine.ask("POST", f"{ODD_PATH}?uploads", body=b"")
    answers = [
        mine.ask("GET", "/mine?list-type=2"),
        mine.ask("GET", "/mine"),
        mine.ask("GET", "/mine?uploads"),
        upload_id,
        mine.ask("GET", f"{ODD_PATH}?uploadId={upload_id.element('UploadId')}"),
        mine.ask("GET", "/mine?list-type=2&prefix=a%3Cb%3E&delimiter=%26"),
        mine.ask("GET", ODD_PATH + "x"),
        mine.ask("DELETE", f"{ODD_PATH}?uploadId={upload_id.element('UploadId')}"),
        mine.ask("POST", "/mine?delete", body=b"<Delete><Object><Key>a&lt;b&gt;&amp;</Key></Object></Delete>"),
        mine.ask("DELETE", ODD_PATH),
    ]
    for answer in answers:
        head, _, body = answer.raw.partition(b"\r\n\r\n")
        assert answer.status in (200, 204, 404), answer.raw
        assert ODD not in answer.raw
        assert b"<b>" not in body
        assert b"a<b" not in head
        assert not re.search(rb"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)", body), body
    assert field.holds() == field.before


@pytest.mark.parametrize("where", ["header", "form", "chunk"])
def test_signatures_are_compared_in_constant_time(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """s3s 659"""
    compared: list[tuple[str | bytes, str | bytes]] = []

    def compare(one: str | bytes, other: str | bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(sigv4, "_verifier", PURE["Verifier"])
    monkeypatch.setattr((chunked if where == "chunk" else sigv4).hmac, "compare_digest", compare)
    claim = sigv4.parse_claim(signing.signed("GET", "/photos/a"), signing.NOW)
    if where == "form":
        signer = Signer(signing.KEY_ID, signing.SECRET, signing.REGION, signing.NOW)
        claim = sigv4.form_claim(signer.fields("photos"), signing.NOW)
    assert claim is not None
    with pytest.raises(S3Error) as caught:
        if where != "chunk":
            sigv4.verify(claim, signing.key())
        else:
            chunked.ChunkSigner(signing.key(), claim.amz_date, claim.scope, claim.signature).check_chunk("0", "1")
    assert caught.value.code == "SignatureDoesNotMatch"
    assert len(compared) == 1
    assert compared[0][1] == ("1" if where == "chunk" else claim.signature.encode())


def test_the_native_module_compares_them_in_constant_time() -> None:
    source = (ROOT / "gateway/cooper_gateway/native/_native.c").read_text()
    assert re.findall(r"\w+cmp\(", source) == ["CRYPTO_memcmp("]
