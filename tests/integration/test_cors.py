"""A Bucket's CORS rules with real processes: what a browser asks, what it is told, and what hostile bytes get."""

import http.client
import time
from pathlib import Path

from support.rig import REGION, Rig, bucket, eventually

APP = "https://app.example.com"
RULES = [
    {
        "allowedOrigins": [APP, "http://localhost:3000"],
        "allowedMethods": ["GET", "PUT"],
        "allowedHeaders": ["content-type", "x-amz-*"],
        "exposeHeaders": ["ETag"],
        "maxAge": "10m",
    }
]
ASKS = {"Origin": APP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}

#: Headers that differ from answer to answer, whatever it is about.
_ITS_OWN = ("x-amz-request-id", "x-amz-id-2", "date", "content-length")


def send(
    rig: Rig, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=5)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.text = response.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return response


def test_rules_of_a_bucket(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos", cors=RULES), bucket("plain"), bucket("shown", visibility="Public"))
    with rig:
        s3 = rig.client("photos")
        upload = s3.generate_presigned_url("put_object", {"Bucket": "photos", "Key": "a", "ContentType": "text/plain"})
        target = upload.removeprefix(rig.endpoint)

        # What a browser does for a page that uploads by a presigned URL, and reads it back.
        asked = send(rig, "OPTIONS", target, ASKS)
        assert (asked.status, asked.getheader("Access-Control-Allow-Origin")) == (200, APP)
        assert asked.getheader("Access-Control-Allow-Methods") == "GET, PUT"
        assert asked.getheader("Access-Control-Allow-Headers") == "content-type"
        assert asked.getheader("Access-Control-Max-Age") == "600"
        assert asked.getheader("Vary", "").startswith("Origin")
        sent = send(rig, "PUT", target, {"Origin": APP, "Content-Type": "text/plain"}, b"hello")
        assert (sent.status, sent.getheader("Access-Control-Allow-Origin")) == (200, APP)
        assert sent.getheader("Access-Control-Expose-Headers") == "ETag"
        url = s3.generate_presigned_url("get_object", {"Bucket": "photos", "Key": "a"}).removeprefix(rig.endpoint)
        read = send(rig, "GET", url, {"Origin": APP})
        assert (read.status, read.text, read.getheader("Access-Control-Allow-Credentials")) == (200, "hello", "true")  # type: ignore[attr-defined]

        # Errors as well; another origin, and what has no origin, are told nothing but that answers vary.
        refused = send(rig, "GET", "/photos/a", {"Origin": APP})
        assert (refused.status, refused.getheader("Access-Control-Allow-Origin")) == (403, APP)
        for headers in ({"Origin": "https://evil.example"}, {}):
            other = send(rig, "GET", url, headers)
            assert (other.status, other.getheader("Access-Control-Allow-Origin")) == (200, None)
            assert other.getheader("Vary", "").startswith("Origin")

        # No rules, no bucket, a rule that does not fit: one answer.
        texts: set[str] = set()
        for path, origin in (("/plain/a", APP), ("/absent/a", APP), ("/photos/a", "https://evil.example")):
            denied = send(rig, "OPTIONS", path, {**ASKS, "Origin": origin})
            text = denied.text.replace(path, "").replace(denied.getheader("x-amz-request-id", ""), "")  # type: ignore[attr-defined]
            texts.add(f"{denied.status} {text.replace(denied.getheader('x-amz-id-2', ''), '')}")
        assert len(texts) == 1
        assert "403" in texts.pop()
        # Nor does what is asked itself tell, by whatever header, which buckets there are.
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            shown: set[tuple[int, frozenset[tuple[str, str]]]] = set()
            for bucket_name in ("plain", "absent", "photos"):
                denied = send(rig, method, f"/{bucket_name}/a", {"Origin": "https://evil.example"})
                same = {each for each in denied.getheaders() if each[0].lower() not in _ITS_OWN}
                shown.add((denied.status, frozenset(same)))
            assert len(shown) == 1, shown
            assert "Vary" in dict(shown.pop()[1])
        assert send(rig, "OPTIONS", "/photos/a", {}).status == 405
        assert send(rig, "OPTIONS", "/", ASKS).status == 405

        # An edit holds at once, also on the public path.
        everyone = [{"allowedOrigins": ["*"], "allowedMethods": ["GET", "HEAD"]}]
        rig.client("shown").put_object(Bucket="shown", Key="a", Body=b"seen")
        changed = bucket("shown", visibility="Public", cors=everyone)
        rig.apply("all.yaml", REGION, bucket("photos", cors=RULES), bucket("plain"), changed)
        began = time.monotonic()
        public = {"Origin": "https://anywhere.example"}
        eventually("rule", lambda: send(rig, "GET", "/public/shown/a", public).getheader("Access-Control-Allow-Origin"))
        print(f"\na CORS rule holds after {(time.monotonic() - began) * 1000:.0f} ms")
        assert time.monotonic() - began < 2
        assert send(rig, "GET", "/public/shown/a", public).getheader("Access-Control-Allow-Credentials") is None

        # Bytes that no browser sends.
        start = b"OPTIONS /photos/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccess-Control-Request-Method: PUT\r\n"
        many = b",".join(b"x-amz-%d" % number for number in range(1000))
        hostile = {
            b"Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n": b"403",
            b"Origin: https://app.example.com\rX: y\r\n": b"400",
            b"Origin: https://app.example.com\nX: y\r\n": b"400",
            b"Origin: https://app.example.com\0\r\n": b"400",
            b"Origin: https://app.example.com%0d%0aX: y\r\n": b"403",
            b"Origin: https://app.example.com\r\nAccess-Control-Request-Headers: " + many + b"\r\n": b"403",
            b"Origin: https://app.example.com\r\nAccess-Control-Request-Headers: x-amz-a\r\n": b"200",
            b"Origin: https://" + b"a" * 20000 + b"\r\n": b"431",
        }
        for headers, status in hostile.items():
            answer = rig.raw(start + headers + b"\r\n")
            assert answer.split(b" ", 2)[1] == status, (headers[:80], answer[:200])
            assert b"\r\nX: y" not in answer
