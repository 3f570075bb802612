"""A gateway with two tenants, for attackers: what is there, and what must be there afterwards."""

import re
from pathlib import Path

from support.raw_s3 import RawS3
from support.rig import Rig, access_key, bucket

#: Below it each bucket has a host name.
DOMAIN = "s3.test"
_REGION = f"""
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {{name: local}}
spec: {{tag: local, default: true, features: {{virtualHosts: {DOMAIN}}}}}
"""

SECRET = b"another tenant's bytes"
PUBLIC = b"anybody's bytes"


class Field:
    """A gateway with two tenants, `mine` and `theirs`, and a public bucket. `writer` may only write to `mine`, `narrow`
    may read, write and list there below `docs/`."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.mine, self.theirs = self._key("mine"), self._key("theirs")
        self.writer, self.narrow, self.site = self._key("writer"), self._key("narrow"), self._key("site")
        self.stranger = RawS3(rig.port)
        assert self.mine.ask("PUT", "/mine/a", body=b"mine").status == 200
        assert self.theirs.ask("PUT", "/theirs/x", body=SECRET).status == 200
        assert self.site.ask("PUT", "/site/pub", body=PUBLIC).status == 200
        self.upload_id = self.writer.ask("POST", "/mine/parts?uploads", body=b"").element("UploadId")
        self.before = self.holds()

    def _key(self, name: str) -> RawS3:
        env = self.rig.env(name)
        return RawS3(self.rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])

    def holds(self) -> list[str]:
        """Names and ETags of everything in the buckets, and the uploads in progress."""
        found: list[str] = []
        for key, name in ((self.mine, "mine"), (self.theirs, "theirs"), (self.site, "site")):
            found += re.findall(r"<Key>.*?</ETag>", key.ask("GET", f"/{name}?list-type=2").raw.decode())
            found += re.findall(r"<UploadId>.*?</UploadId>", key.ask("GET", f"/{name}?uploads").raw.decode())
        return found


def make_rig(home: Path, *, creates: bool = False) -> Rig:
    """What the field is on; start it. `creates`: its Region serves CreateBucket."""
    rig = Rig(home)
    region = _REGION.replace("{virtualHosts", "{createBucket: true, virtualHosts") if creates else _REGION
    writer = access_key("writer", grants=[{"bucket": "mine", "actions": ["s3:PutObject"]}])
    narrow = access_key(
        "narrow",
        grants=[
            {
                "bucket": "mine",
                "actions": ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"],
                "prefixes": ["docs/"],
            }
        ],
    )
    rig.apply("all.yaml", region, bucket("mine"), bucket("theirs"), bucket("site", visibility="Public"), writer, narrow)
    return rig
