import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooper_crds.records import RegionRecord
from cooper_gateway.operations.paging import make_token, read_token
from cooper_gateway.protocol.errors import S3Error
from support.calls import Rig, element, elements

NAMES = ("a", "b/1", "b/2", "b/c/3", "c", "d e", "é&<")


@pytest.fixture
async def rig():
    rig = Rig()
    for name in NAMES:
        await rig.put(name, b"12345", headers={"x-amz-sdk-checksum-algorithm": "CRC32"} if name == "a" else {})
    return rig


async def test_one_entry_in_full(rig):
    response = await rig.do("ListObjectsV2", query={"max-keys": "1", "fetch-owner": "true"})
    assert element(response, "Contents") == (
        "<Key>a</Key><LastModified>2026-11-23T09:00:00.000Z</LastModified>"
        "<ETag>&quot;827ccb0eea8a706c4c34a16891f84e7b&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"
        "<ChecksumType>FULL_OBJECT</ChecksumType><Size>5</Size>"
        "<Owner><ID>cooper</ID><DisplayName>cooper</DisplayName></Owner><StorageClass>STANDARD</StorageClass>"
    )
    assert element(response, "Name") == "photos"
    assert (element(response, "MaxKeys"), element(response, "KeyCount"), element(response, "IsTruncated")) == (
        "1",
        "1",
        "true",
    )
    assert response.headers["Content-Type"] == "application/xml"
    assert elements(await rig.do("ListObjectsV2"), "Owner") == []
    assert len(elements(await rig.do("ListObjects"), "Owner")) == len(NAMES)


@pytest.mark.parametrize(
    ("query", "keys", "prefixes"),
    [
        ({}, ["a", "b/1", "b/2", "b/c/3", "c", "d e", "é&amp;&lt;"], []),
        ({"delimiter": "/"}, ["a", "c", "d e", "é&amp;&lt;"], ["b/"]),
        ({"prefix": "b/", "delimiter": "/"}, ["b/1", "b/2"], ["b/", "b/c/"]),
        ({"prefix": "b"}, ["b/1", "b/2", "b/c/3"], ["b"]),
        ({"start-after": "b/2", "marker": "b/2"}, ["b/c/3", "c", "d e", "é&amp;&lt;"], []),
        ({"encoding-type": "url", "prefix": "é"}, ["%C3%A9%26%3C"], ["%C3%A9"]),
        ({"encoding-type": "url", "prefix": "d"}, ["d%20e"], ["d"]),
        ({"prefix": "nothing"}, [], ["nothing"]),
        ({"max-keys": "0"}, [], []),
    ],
)
@pytest.mark.parametrize("operation", ["ListObjectsV2", "ListObjects"])
async def test_what_is_listed(rig, operation, query, keys, prefixes):
    response = await rig.do(operation, query=query)
    assert elements(response, "Key") == keys
    assert [found for found in elements(response, "Prefix") if found] == prefixes
    assert element(response, "IsTruncated") == "false"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"max-keys": "-1"}, "InvalidArgument"),
        ({"max-keys": "x"}, "InvalidArgument"),
        ({"max-keys": "٣"}, "InvalidArgument"),
        ({"max-keys": "99999999999"}, "InvalidArgument"),
        ({"encoding-type": "xml"}, "InvalidArgument"),
    ],
)
@pytest.mark.parametrize("operation", ["ListObjectsV2", "ListObjects"])
async def test_arguments_that_are_none(rig, operation, query, code):
    with pytest.raises(S3Error) as caught:
        await rig.do(operation, query=query)
    assert caught.value.code == code


async def test_more_than_a_thousand_is_a_thousand(rig):
    assert element(await rig.do("ListObjectsV2", query={"max-keys": "5000"}), "MaxKeys") == "1000"


async def test_version_1_can_be_turned_off(rig):
    rig.directory.settings = RegionRecord("eu", "eu", list_objects_v1=False)
    with pytest.raises(S3Error) as caught:
        await rig.do("ListObjects")
    assert caught.value.code == "NotImplemented"


@pytest.mark.parametrize("token", ["", "x", "AAAA", "é", make_token(b"b/2")[:-4], make_token(b"b/2")[::-1]])
async def test_a_token_that_was_not_given_out(rig, token):
    with pytest.raises(S3Error) as caught:
        await rig.do("ListObjectsV2", query={"continuation-token": token})
    assert caught.value.code == "InvalidArgument"


@given(st.binary(max_size=60))
def test_a_token_gives_its_position_back(position):
    assert read_token(make_token(position)) == position


async def pages(rig: Rig, query: dict[str, str]) -> tuple[list[str], list[str]]:
    """All pages of both versions, which must agree."""
    answers = []
    for operation, cursor, following in (
        ("ListObjectsV2", "continuation-token", "NextContinuationToken"),
        ("ListObjects", "marker", "NextMarker"),
    ):
        keys: list[str] = []
        prefixes: list[str] = []
        more: dict[str, str] = {}
        while True:
            response = await rig.do(operation, query=query | more)
            keys += elements(response, "Key")
            prefixes += [
                p.removeprefix("<Prefix>").removesuffix("</Prefix>") for p in elements(response, "CommonPrefixes")
            ]
            if element(response, "IsTruncated") == "false":
                break
            more = {cursor: element(response, following) or keys[-1]}
        answers.append((keys, prefixes))
    assert answers[0] == answers[1]
    return answers[0]


_words = st.text(alphabet="ab/", min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    names=st.sets(_words, max_size=12),
    prefix=st.text(alphabet="ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "b", "ab"]),
    limit=st.integers(1, 4),
)
async def test_pages_together_are_what_a_naive_listing_says(names, prefix, delimiter, limit):
    rig = Rig()
    for name in names:
        await rig.put(name)
    keys: list[str] = []
    prefixes: list[str] = []
    for name in sorted(names):
        if not name.startswith(prefix):
            continue
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not found:
            keys.append(name)
        elif prefix + head + found not in prefixes:
            prefixes.append(prefix + head + found)
    query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(limit)}
    assert await pages(rig, query) == (keys, prefixes)
