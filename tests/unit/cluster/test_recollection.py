"""What is remembered of a cluster: the newest version, nothing that is known to be gone, and no key's secret."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cooper_crds.kubernetes import CREDENTIALS_OWNER_LABEL
from cooper_crds.records import BucketRecord, KeyRecord, Owner
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster import recollection
from cooper_operator.cluster.kubernetes_ledgers import CredentialsLedger, RecordLedger
from cooper_operator.cluster.port import Ref
from cooper_operator.cluster.recollection import Seen

PHOTOS = Ref("Bucket", "default", "photos")
SITE = Ref("Bucket", "other", "site")
REGION = Ref("Region", "", "local")
OWNER = Owner("default", "photos", "uid-1")


@pytest.fixture
def seen() -> Seen:
    return Seen()


def at(version: int) -> dict[str, dict[str, str]]:
    return {"metadata": {"resourceVersion": str(version)}}


def test_the_newest_version_stays_whatever_comes_last(seen: Seen) -> None:
    for version in (9, 10, 8):
        seen.saw(PHOTOS, at(version))
    assert seen.resource(PHOTOS) == at(10)
    seen.gone(PHOTOS, "11")
    assert seen.resource(PHOTOS) is None


def test_what_is_gone_does_not_come_back_with_a_late_answer_but_made_anew(seen: Seen) -> None:
    seen.gone(PHOTOS, "11")
    for version in (10, 11):
        seen.saw(PHOTOS, at(version))
        assert seen.resource(PHOTOS) is None
    seen.saw(PHOTOS, at(12))
    seen.gone(PHOTOS, "11")
    assert seen.resource(PHOTOS) == at(12)


def test_only_the_latest_that_went_are_remembered(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recollection, "_KEPT", 1)
    seen.gone(PHOTOS, "11")
    seen.gone(SITE, "12")
    for ref in (PHOTOS, SITE):
        seen.saw(ref, at(5))
    assert [seen.resource(ref) for ref in (PHOTOS, SITE)] == [at(5), None]


def test_a_deletion_that_was_shown_is_told_once_and_one_that_was_not_never(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recollection, "_KEPT_DELETED", 2)
    seen.saw(PHOTOS, at(5))
    assert seen.listed("Bucket", "", {}, "9") == [PHOTOS]
    assert seen.take_deleted() == []
    for uid in ("a", "b", "c"):
        seen.saw_deletion(uid)
    assert seen.take_deleted() == ["b", "c"]
    assert seen.take_deleted() == []


def test_a_list_takes_away_what_it_does_not_have_unless_that_is_newer(seen: Seen) -> None:
    newer = Ref("Bucket", "default", "newer")
    key = Ref("AccessKey", "default", "photos")
    for ref, version in ((PHOTOS, 5), (SITE, 5), (newer, 30), (key, 5)):
        seen.saw(ref, at(version))
    assert seen.listed("Bucket", "default", {}, "20") == [PHOTOS]
    assert [seen.resource(ref) is not None for ref in (PHOTOS, SITE, newer, key)] == [False, True, True, True]
    assert seen.listed("Bucket", "", {}, "20") == [SITE]
    assert seen.resource(SITE) is None


def test_regions_are_known_once_they_were_listed(seen: Seen) -> None:
    seen.saw(REGION, at(3))
    assert seen.all_of("Region", "") is None
    seen.listed("Region", "", {REGION: at(3)}, "5")
    assert seen.all_of("Region", "") == [at(3)]
    seen.gone(REGION, "6")
    assert seen.all_of("Region", "") == []


def test_records_are_remembered_as_they_were_read_and_keys_never(seen: Seen) -> None:
    bucket = StoredRecord("bucket-photos", BucketRecord("photos", "data", OWNER), "7")
    seen.read_record(bucket)
    seen.read_record(StoredRecord("key-a", KeyRecord("AKIA1", "secret", OWNER, 0), "8"))
    assert seen.record("bucket-photos") == bucket
    assert seen.record("key-a") is None
    seen.saw_record("bucket-photos", "7")
    assert seen.record("bucket-photos") == bucket
    seen.saw_record("bucket-photos", "9")
    assert seen.record("bucket-photos") is None
    seen.read_record(bucket)
    assert seen.record("bucket-photos") is None, "an answer that is older than what was shown"
    newer = replace(bucket, version="9")
    seen.read_record(newer)
    seen.read_record(bucket)
    assert seen.record("bucket-photos") == newer
    seen.forget_record("bucket-photos")
    assert seen.record("bucket-photos") is None


def tell_all(metadata: object, deleted: bool, tell: Callable[[], None]) -> None:
    tell()


def tell_nothing(metadata: object, deleted: bool, tell: Callable[[], None]) -> None:
    pass


@pytest.mark.parametrize(("versions", "remembered"), [(["7"], True), (["8"], False), ([], False)])
def test_a_list_of_records_takes_away_what_is_at_another_version(
    seen: Seen, versions: list[str], remembered: bool
) -> None:
    seen.read_record(StoredRecord("bucket-photos", BucketRecord("photos", "data", OWNER), "7"))
    RecordLedger(seen, tell_all).listed([{"name": "bucket-photos", "resourceVersion": each} for each in versions])
    assert (seen.record("bucket-photos") is not None) is remembered


def secret(name: str, uid: str | None, namespace: str = "default") -> dict[str, object]:
    labels = {} if uid is None else {CREDENTIALS_OWNER_LABEL: uid}
    return {"namespace": namespace, "name": name, "labels": labels, "resourceVersion": "3"}


def test_credentials_are_known_only_while_their_watch_is_followed(seen: Seen) -> None:
    ledger = CredentialsLedger(seen, "", tell_all)
    assert seen.credentials("default", "uid-1") is None
    ledger.listed([secret("a", "uid-1"), secret("b", "uid-2"), secret("c", "uid-1", "elsewhere")])
    assert seen.credentials("default", "uid-1") == {"a"}
    told: list[str] = []
    ledger.shown(secret("d", "uid-1"), False, lambda: told.append("d"))
    assert told == ["d"]
    ledger.shown(secret("a", None), False, lambda: None)
    assert seen.credentials("default", "uid-1") == {"d"}
    ledger.shown(secret("d", "uid-1"), True, lambda: None)
    assert seen.credentials("default", "uid-1") == frozenset()
    ledger.lost()
    assert seen.credentials("default", "uid-1") is None
    ledger.listed([])
    assert seen.credentials("default", "uid-2") == frozenset()


def test_of_named_namespaces_only_those_are_known(seen: Seen) -> None:
    CredentialsLedger(seen, "default", tell_all).listed([secret("a", "uid-1")])
    assert seen.credentials("default", "uid-1") == {"a"}
    assert seen.credentials("elsewhere", "uid-1") is None


def test_our_own_writes_are_not_worth_telling(seen: Seen) -> None:
    told: list[str] = []
    RecordLedger(seen, tell_nothing).shown(secret("key-a", None), False, lambda: told.append("key-a"))
    CredentialsLedger(seen, "", tell_nothing).shown(secret("a", "uid-1"), False, lambda: told.append("a"))
    assert told == []
    assert seen._owner == {("default", "a"): "uid-1"}
