import json

import msgspec
import pytest

from cooper_crds.actions import GET_OBJECT
from cooper_crds.records import REGION_DIGEST, RegionRecord, record_digest
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.operations.registry import NOW
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import BucketClosed, BucketNotEmpty
from support.calls import OTHER, PHOTOS, Rig, element, elements, key_for

DATA_ID = {"x-cooper-data-id": PHOTOS.data_id}


async def test_a_key_sees_the_buckets_it_may_use_and_no_others():
    rig = Rig()
    response = await rig.do("ListBuckets")
    assert elements(response, "Name") == ["other", "photos"]
    assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ListAllMyBucketsResult xmlns="http://s3')
    assert elements(response, "CreationDate") == ["1970-01-01T00:00:00.000Z"] * 2
    rig.principal = KeyHolder(key_for(PHOTOS, actions=(GET_OBJECT,)))
    assert elements(await rig.do("ListBuckets"), "Name") == ["photos"]


async def test_a_bucket_has_the_date_at_which_its_resource_was_made():
    rig = Rig()
    rig.directory.buckets["photos"] = msgspec.structs.replace(PHOTOS, created=1_800_000_000)
    response = await rig.do("ListBuckets")
    assert elements(response, "Name") == ["other", "photos"]
    assert elements(response, "CreationDate") == ["1970-01-01T00:00:00.000Z", "2027-01-15T08:00:00.000Z"]


@pytest.mark.parametrize("change", [{"retained": True}, {"data_id": OTHER.data_id}, None])
async def test_a_bucket_that_is_gone_retained_or_another_is_not_listed(change):
    rig = Rig()
    if change is None:
        del rig.directory.buckets["photos"]
    else:
        rig.directory.buckets["photos"] = msgspec.structs.replace(PHOTOS, **change)
    assert elements(await rig.do("ListBuckets"), "Name") == ["other"]


async def test_a_key_of_many_grants_lets_other_requests_come_in_between():
    rig = Rig()
    for grants, at_once in ((64, True), (65, False)):
        key = key_for(PHOTOS, actions=(GET_OBJECT,))
        rig.principal = KeyHolder(msgspec.structs.replace(key, grants=key.grants * grants))
        assert (NOW["ListBuckets"](rig.call("ListBuckets")) is not None) == at_once
        assert elements(await rig.do("ListBuckets"), "Name") == ["photos"]


async def test_buckets_in_pages():
    rig = Rig()
    first = await rig.do("ListBuckets", query={"max-buckets": "1"})
    assert elements(first, "Name") == ["other"]
    token = element(first, "ContinuationToken")
    assert token is not None
    second = await rig.do("ListBuckets", query={"max-buckets": "1", "continuation-token": token})
    assert (elements(second, "Name"), element(second, "ContinuationToken")) == (["photos"], None)
    assert elements(await rig.do("ListBuckets", query={"prefix": "ph"}), "Name") == ["photos"]
    assert elements(await rig.do("ListBuckets", query={"bucket-region": "elsewhere"}), "Name") == []


async def test_head_and_location():
    rig = Rig()
    response = await rig.do("HeadBucket")
    assert (response.status, response.headers["x-amz-bucket-region"]) == (200, "eu-west-1")
    location = '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    assert (await rig.do("GetBucketLocation")).body.decode().endswith(f"{location}eu-west-1</LocationConstraint>")
    rig.directory.settings = RegionRecord("us", "us-east-1")
    assert (await rig.do("GetBucketLocation")).body.decode().endswith(f"{location}</LocationConstraint>")


async def test_delete_bucket_closes_it_and_leaves_the_intent():
    rig = Rig()
    await rig.put("a")
    with pytest.raises(BucketNotEmpty):
        await rig.do("DeleteBucket")
    await rig.do("DeleteObject", "a")
    assert (await rig.do("DeleteBucket")).status == 204
    for operation in ("HeadBucket", "GetBucketLocation", "ListObjectsV2", "ListObjects", "ListMultipartUploads"):
        with pytest.raises(BucketClosed):
            await rig.do(operation)
    answer = await rig.do("ListIntents")
    intents = json.loads(answer.body)
    assert answer.headers[REGION_DIGEST] == record_digest(rig.directory.settings)
    assert intents == [{"bucket": "photos", "dataId": PHOTOS.data_id, "accessKeyId": "AKIAEXAMPLE"}]


async def test_the_operator_asks_by_the_data_even_when_the_record_is_gone():
    rig = Rig()
    await rig.put("a", b"12345")
    await rig.do("CreateMultipartUpload", "b")
    del rig.directory.buckets["photos"]
    usage = json.loads((await rig.do("GetUsage", headers=DATA_ID)).body)
    assert usage == {"objects": 1, "size": 5, "uploads": 1, "closed": False, "parts_size": 0}
    with pytest.raises(BucketNotEmpty):
        await rig.do("CloseBucket", headers=DATA_ID)
    rig.directory.buckets["photos"] = PHOTOS
    await rig.do("DeleteObject", "a")
    for _ in range(2):
        assert (await rig.do("CloseBucket", headers=DATA_ID)).status == 204
    assert json.loads((await rig.do("ListIntents")).body) == []
    assert (await rig.do("ReopenBucket", headers=DATA_ID)).status == 204
    await rig.do("HeadBucket")
    await rig.do("CloseBucket", headers=DATA_ID)
    for _ in range(2):
        assert (await rig.do("DestroyBucket", headers=DATA_ID)).status == 204
    usage = json.loads((await rig.do("GetUsage", headers=DATA_ID)).body)
    assert usage == {"objects": 0, "size": 0, "uploads": 0, "closed": True, "parts_size": 0}


async def test_a_bucket_is_closed_with_its_content_and_purged():
    rig = Rig()
    for name in ("a", "b"):
        await rig.put(name)
    await rig.do("CreateMultipartUpload", "c")
    assert (await rig.do("CloseBucket", headers={**DATA_ID, "x-cooper-content": "closed"})).status == 204
    with pytest.raises(BucketClosed):
        await rig.do("GetObject", "a")
    with pytest.raises(BucketNotEmpty):
        await rig.do("CloseBucket", headers=DATA_ID)
    assert (await rig.do("GetObject", "a")).status == 200  # who is to empty it gets at it again
    purged = json.loads((await rig.do("PurgeBucket", headers=DATA_ID)).body)
    assert purged == {"objectsBefore": 2, "objects": 0, "uploads": 0}
    usage = json.loads((await rig.do("GetUsage", headers=DATA_ID)).body)
    assert usage == {"objects": 0, "size": 0, "uploads": 0, "closed": True, "parts_size": 0}
    assert json.loads((await rig.do("PurgeBucket", headers=DATA_ID)).body)["objectsBefore"] == 0


@pytest.mark.parametrize("headers", [{}, {"x-cooper-data-id": "photos"}])
@pytest.mark.parametrize("operation", ["GetUsage", "CloseBucket", "ReopenBucket", "PurgeBucket", "DestroyBucket"])
async def test_the_data_must_be_named(operation, headers):
    with pytest.raises(S3Error) as caught:
        await Rig().do(operation, headers=headers)
    assert caught.value.code == "InvalidArgument"
