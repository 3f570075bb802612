import base64
import hashlib

import msgspec
import pytest

from cooper_crds.actions import DELETE_OBJECT, GET_OBJECT
from cooper_crds.records import Grant
from cooper_gateway.access.authorize import denial
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import NO_CONDITIONS, NoSuchName, Overloaded
from support.calls import PHOTOS, Rig, content, elements, key_for


def document(*names: str, quiet: bool = False) -> bytes:
    objects = "".join(f"<Object><Key>{name}</Key></Object>" for name in names)
    return f"<Delete>{'<Quiet>true</Quiet>' if quiet else ''}{objects}</Delete>".encode()


async def test_delete_is_204_whether_or_not_it_was_there():
    rig = Rig()
    await rig.put("a", b"1")
    for _ in range(2):
        assert (await rig.do("DeleteObject", "a")).status == 204
    with pytest.raises(NoSuchName):
        await rig.get("a")


@pytest.mark.parametrize(
    ("name", "headers", "code"),
    [
        ("a", {"if-match": '"x"'}, "PreconditionFailed"),
        ("a", {"if-none-match": "*"}, "NotImplemented"),
        ("missing", {"if-match": "*"}, "NoSuchKey"),
        ("missing", {"if-match": '"x"'}, "NoSuchKey"),
    ],
)
async def test_a_conditional_delete_that_does_not_hold_deletes_nothing(name: str, headers: dict[str, str], code: str):
    rig = Rig()
    await rig.put("a", b"1")
    with pytest.raises(S3Error) as caught:
        await rig.do("DeleteObject", name, headers=headers)
    assert caught.value.code == code
    assert await content(await rig.get("a")) == b"1"


@pytest.mark.parametrize("wanted", ["*", '"c4ca4238a0b923820dcc509a6f75849b"', "c4ca4238a0b923820dcc509a6f75849b"])
async def test_a_conditional_delete_that_holds(wanted: str):
    rig = Rig()
    await rig.put("a", b"1")
    assert (await rig.do("DeleteObject", "a", headers={"if-match": wanted})).status == 204
    with pytest.raises(NoSuchName):
        await rig.get("a")


async def test_no_etag_is_guessed_by_a_key_that_may_not_read():
    rig = Rig()
    await rig.put("a", b"1")
    grant = Grant(PHOTOS.name, PHOTOS.data_id, (DELETE_OBJECT,))
    deleter = Rig(rig.store, rig.directory, KeyHolder(msgspec.structs.replace(key_for(), grants=(grant,))))
    with pytest.raises(S3Error) as caught:
        await deleter.do("DeleteObject", "a", headers={"if-match": '"x"'})
    assert caught.value.code == "AccessDenied"
    batch = await deleter.do("DeleteObjects", None, b"<Delete><Object><Key>a</Key><ETag>x</ETag></Object></Delete>")
    assert elements(batch, "Code") == ["AccessDenied"]
    assert (await deleter.do("DeleteObject", "a", headers={"if-match": "*"})).status == 204


async def test_of_many_each_is_deleted_if_it_has_the_etag_that_is_named():
    rig = Rig()
    for name in ("a", "b", "c"):
        await rig.put(name, b"1")
    rows = "".join(
        f"<Object><Key>{name}</Key>{f'<ETag>{etag}</ETag>' if etag else ''}</Object>"
        for name, etag in (("a", "c4ca4238a0b923820dcc509a6f75849b"), ("b", "other"), ("c", ""), ("none", "x"))
    )
    response = await rig.do("DeleteObjects", None, f"<Delete>{rows}</Delete>".encode())
    assert elements(response, "Deleted") == ["<Key>a</Key>", "<Key>c</Key>"]
    assert [error.partition("<Message>")[0] for error in elements(response, "Error")] == [
        "<Key>b</Key><Code>PreconditionFailed</Code>",
        "<Key>none</Key><Code>NoSuchKey</Code>",
    ]
    assert elements(await rig.do("ListObjectsV2"), "Key") == ["b"]


@pytest.mark.parametrize("quiet", [False, True])
async def test_many_at_once_with_a_result_each(quiet):
    rig = Rig()
    for name in ("a", "b&c", "keep"):
        await rig.put(name)
    response = await rig.do("DeleteObjects", None, document("a", "b&amp;c", "missing", quiet=quiet))
    assert elements(response, "Key") == ([] if quiet else ["a", "b&amp;c", "missing"])
    assert elements(await rig.do("ListObjectsV2"), "Key") == ["keep"]


@pytest.mark.parametrize("quiet", [False, True])
async def test_what_the_key_may_not_delete_is_told_and_the_rest_goes(quiet: bool) -> None:
    rig = Rig()
    for name in ("mine/1", "mine/2", "theirs"):
        await rig.put(name)
    grant = Grant(PHOTOS.name, PHOTOS.data_id, (DELETE_OBJECT,), ("mine/",))
    mine = Rig(rig.store, rig.directory, KeyHolder(msgspec.structs.replace(key_for(), grants=(grant,))))
    response = await mine.do("DeleteObjects", None, document("mine/1", "theirs", "mine/2", "none", quiet=quiet))
    assert elements(response, "Deleted") == ([] if quiet else ["<Key>mine/1</Key>", "<Key>mine/2</Key>"])
    assert [error.partition("<Message>")[0] for error in elements(response, "Error")] == [
        f"<Key>{name}</Key><Code>AccessDenied</Code>" for name in ("theirs", "none")
    ]
    assert [error.partition("<Message>")[2] for error in elements(response, "Error")] == [
        f"{denial(mine.principal, DELETE_OBJECT, PHOTOS.name)}</Message>"
    ] * 2
    assert elements(await rig.do("ListObjectsV2"), "Key") == ["theirs"]
    await mine.do("DeleteObjects", None, document("theirs"))  # nothing is left to be done
    assert elements(await rig.do("ListObjectsV2"), "Key") == ["theirs"]


async def test_the_document_is_verified_before_anything_is_deleted():
    rig = Rig()
    await rig.put("a")
    body = document("a")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for sent, headers, code in (
        (body, {"content-md5": md5}, "BadDigest"),
        (body, {"x-amz-checksum-crc32": "AAAAAA=="}, "XAmzContentChecksumMismatch"),
        (b"<Delete>", {}, "MalformedXML"),
        (document(*map(str, range(1001))), {}, "MalformedXML"),
    ):
        with pytest.raises(S3Error) as caught:
            await rig.do("DeleteObjects", None, sent, headers=headers)
        assert caught.value.code == code
    assert elements(await rig.do("ListObjectsV2"), "Key") == ["a"]


def etag_of(name: str, etag: str) -> str:
    return f"<Object><Key>{name}</Key><ETag>{etag}</ETag></Object>"


async def test_who_may_not_know_what_is_missing_does_not_learn_it_by_a_batch():
    rig = Rig()
    grant = Grant(PHOTOS.name, PHOTOS.data_id, (DELETE_OBJECT, GET_OBJECT))
    blind = Rig(rig.store, rig.directory, KeyHolder(msgspec.structs.replace(key_for(), grants=(grant,))))
    response = await blind.do("DeleteObjects", None, f"<Delete>{etag_of('none', 'x')}</Delete>".encode())
    assert elements(response, "Code") == ["AccessDenied"]


async def test_a_star_in_quotes_is_nobodys_etag():
    rig = Rig()
    await rig.put("a", b"1")
    response = await rig.do("DeleteObjects", None, f"<Delete>{etag_of('a', '&quot;*&quot;')}</Delete>".encode())
    assert elements(response, "Code") == ["PreconditionFailed"]
    response = await rig.do("DeleteObjects", None, f"<Delete>{etag_of('a', '*')}</Delete>".encode())
    assert elements(response, "Deleted") == ["<Key>a</Key>"]


async def test_what_fails_for_one_hides_nothing_of_the_others():
    rig = Rig()
    for name in ("a", "b", "c"):
        await rig.put(name, b"1")
    whole = rig.store.delete

    async def fails(bucket, names, guard, conditions=NO_CONDITIONS):
        if names == (b"b",):
            raise Overloaded
        await whole(bucket, names, guard, conditions)

    rig.store.delete = fails
    rows = "".join(etag_of(name, "c4ca4238a0b923820dcc509a6f75849b") for name in ("a", "b", "c"))
    response = await rig.do("DeleteObjects", None, f"<Delete>{rows}</Delete>".encode())
    assert elements(response, "Deleted") == ["<Key>a</Key>", "<Key>c</Key>"]
    assert elements(response, "Code") == ["SlowDown"]
