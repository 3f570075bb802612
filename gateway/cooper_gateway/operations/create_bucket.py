"""CreateBucket: the gateway keeps the wish, the operator authorises it again and makes the Bucket; the client waits.

    keep the wish ──► look: refused? ──► the operator's word
                        │ record there, and a grant of this key on it ──► 200
                        └─ not within `WAIT` ──► 503: the wish stays, and asking again goes on with it

A gateway writes nothing to the cluster, and a key gets no right here that it did not have: what it may do on the new
bucket it may do on all of its namespace.
"""

import asyncio
import re
import uuid
from typing import Final

import msgspec

from cooper_crds.actions import CREATE_BUCKET
from cooper_crds.names import DNS_SUBDOMAIN
from cooper_crds.records import BucketRecord, KeyRecord
from cooper_gateway.access.authorize import DENIED, REVOKED, authorize, denial
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.operations.call import Call, bucket_ref
from cooper_gateway.operations.receive import read_verified
from cooper_gateway.protocol.errors import CODES, S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import read_location
from cooper_gateway.storage.port import Wish

#: S3's error code where a Region does not let buckets be created over S3.
NOT_SERVED: Final = "NotImplemented"
#: Outcome of a wish whose Bucket is there: it serves as soon as its record, and the key's, say so.
MADE: Final = "made"
#: Seconds that a client waits at most: SDKs wait for a minute.
WAIT: Final = 10.0
#: Seconds between looks: the first ones follow each other soon, and thousands that wait cost little.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5

_LOCK: Final = "x-amz-bucket-object-lock-enabled"
#: What a region's name can look like.
_REGION: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


async def create_bucket(call: Call) -> Response:
    """200 once the bucket is there and the key that asked can use it. Raises S3Error.

    Clients ask for a bucket before they write to it (`rclone copyto`), and go on where they are told that it is theirs.
    Whoever may not create any and has no grant on it is not told whether it is there.
    """
    code = authorize(call.principal, CREATE_BUCKET, None, None, call.now) if call.region.create_buckets else NOT_SERVED
    if code is not None:
        raise _held(call) if _has_grants(call) else _no(call, code)
    name = call.request.bucket or ""
    if not DNS_SUBDOMAIN.fullmatch(name):  # it is the name of a resource as well
        raise S3Error("InvalidBucketName", "Here a period in a bucket's name stands between letters or digits.")
    if call.request.headers.get(_LOCK, "false").lower() != "false":
        raise S3Error("NotImplemented", f"Cooper does not implement object lock; leave out the header {_LOCK}.")
    _check_location(read_location(await read_verified(call)), call.region.tag)
    loop, asking, pause = asyncio.get_running_loop(), _Asking(call, name), _FIRST_PAUSE
    end = loop.time() + WAIT
    while not await asking.is_done():
        if loop.time() >= end:
            raise S3Error("ServiceUnavailable", "The bucket is asked for and not there yet. Ask again in a moment.")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return Response(headers={"Location": f"/{name}"})


def _has_grants(call: Call) -> bool:
    bucket = None if call.bucket is None or call.bucket.retained else call.bucket
    grants = call.principal.key.grants if isinstance(call.principal, KeyHolder) else ()
    return bucket is not None and any(grant.is_on(bucket) for grant in grants)


def _held(call: Call) -> S3Error:
    return S3Error(REVOKED if call.record.api_access == "Revoked" else "BucketAlreadyOwnedByYou")


def _no(call: Call, code: str) -> S3Error:
    if code == NOT_SERVED:
        return S3Error(code, "CreateBucket is not served over S3: create a Bucket resource instead.")
    return S3Error(code, denial(call.principal, CREATE_BUCKET, None) if code == DENIED else None)


def _check_location(wanted: str, tag: str) -> None:
    if wanted in ("", tag):
        return
    if not _REGION.fullmatch(wanted):
        raise S3Error("InvalidLocationConstraint", f"The LocationConstraint is no region's name; here it is {tag}.")
    raise S3Error(
        "IllegalLocationConstraintException",
        f"The LocationConstraint {wanted} is not this region: leave it out, or name {tag}.",
    )


class _Asking:
    """One request while it waits."""

    def __init__(self, call: Call, name: str) -> None:
        self._call = call
        self._name = name
        self._asked = False

    async def is_done(self) -> bool:
        """Look once: True when the bucket can be used. Raises S3Error, or a StoreError, when it will not be."""
        directory = self._call.look_again()
        key, record = directory.key(self._call.access_key_id), directory.bucket(self._name)
        region = directory.region()
        if key is None:
            raise S3Error(REVOKED)
        if region is None or not region.create_buckets or not key.create_buckets:
            raise _no(self._call, DENIED if region is not None and region.create_buckets else NOT_SERVED)
        held = await self._call.store.wish(self._name)
        mine = held if held is not None and held.access_key_id == key.access_key_id else None
        if record is not None:
            return await self._is_there(record, key, mine)
        if not self._asked:
            await self._ask(key)
        elif mine is None:  # it became too old, or somebody else has answered it to its client
            self._asked = False
        elif mine.outcome not in ("", MADE):
            await self._forget(mine)
            raise _refusal(mine.outcome)
        return False

    async def _ask(self, key: KeyRecord) -> None:
        at = int(self._call.now * 1000)
        wish = Wish(uuid.uuid4().hex, self._name, key.access_key_id, at, namespace=key.owner.namespace)
        guard = msgspec.structs.replace(self._call.guard, action=CREATE_BUCKET)
        await self._call.store.ask_for_bucket(wish, guard)
        self._asked = True

    async def _is_there(self, record: BucketRecord, key: KeyRecord, mine: Wish | None) -> bool:
        """The name is taken: by what was asked for, by what is going, or for good."""
        asked = self._asked or mine is not None
        if not record.retained and any(grant.is_on(record) for grant in key.grants):
            if (await self._call.store.usage(bucket_ref(record.data_id, record.name))).closed:
                return False  # its deletion is under way
            await self._forget(mine)
            if not asked:
                raise S3Error("BucketAlreadyOwnedByYou")
            return True
        if asked and not record.retained and record.owner.namespace == key.owner.namespace:
            return False  # the key's record comes after the bucket's
        await self._forget(mine)
        raise S3Error("BucketAlreadyExists")

    async def _forget(self, wish: Wish | None) -> None:
        if wish is not None:
            await self._call.store.settle_wish(wish.bucket, wish.id, "")


def _refusal(outcome: str) -> S3Error:
    """What the operator said, in the words of that code. A code that is not known is no success either."""
    return S3Error(outcome if outcome in CODES else "AccessDenied")
