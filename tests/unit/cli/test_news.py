"""What `cooper up` tells of changes: each once, and in words."""

from typing import Any

from cooper_cli.telling import News
from cooper_operator.cluster.event_log import EventLog
from cooper_operator.cluster.folder_report import remark
from cooper_operator.cluster.port import Ref

PHOTOS = Ref("Bucket", "default", "photos")


def bucket(status: str = "", reason: str = "", message: str = "") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status, "reason": reason, "message": message}] if status else []
    metadata = {"name": "photos", "namespace": "default"}
    return {"kind": "Bucket", "metadata": metadata, "status": {"conditions": conditions}}


def test_a_resource_is_told_when_something_is_known_and_when_it_changes():
    news = News()
    assert news.of_resources([bucket()], {}) == []
    assert news.of_resources([bucket("False", "RegionNotFound", "there is none")], {}) == [
        "Bucket default/photos: RegionNotFound: there is none"
    ]
    assert news.of_resources([bucket("False", "RegionNotFound", "in other words")], {}) == []
    assert news.of_resources([bucket("True", "Ready")], {}) == ["Bucket default/photos: Ready"]
    assert news.of_resources([bucket("True", "Ready")], {}) == []


def test_a_bucket_that_is_ready_without_its_domains_says_so():
    news, found = News(), bucket("True", "Ready")
    domains = {"type": "DomainsReady", "status": "False", "reason": "DomainTaken", "message": "another has it"}
    found["status"]["conditions"].append(domains)
    told = ["Bucket default/photos: Ready, but DomainTaken: another has it"]
    assert (news.of_resources([found], {}), news.of_resources([found], {})) == (told, [])
    domains["status"] = "True"
    assert news.of_resources([found], {}) == ["Bucket default/photos: Ready"]


def test_a_deletion_is_told_from_the_vanished_file_to_the_end():
    news = News()
    news.of_resources([bucket("True", "Ready")], {})
    vanished = {PHOTOS: remark(PHOTOS, "Vanished", "its file is gone")}
    assert news.of_resources([bucket("True", "Ready")], vanished) == ["Bucket default/photos: its file is gone"]
    assert news.of_resources([bucket("True", "Ready")], {}) == ["Bucket default/photos: Ready"]  # called off
    assert news.of_resources([], {}) == ["Bucket default/photos: deleted"]
    assert news.of_resources([], {}) == []


def test_one_that_still_works_while_it_is_deleted_is_not_called_ready_anew():
    news = News()
    news.of_resources([bucket("True", "Ready")], {})
    vanished = {PHOTOS: remark(PHOTOS, "Vanished", "its file is gone")}
    news.of_resources([bucket("True", "Ready")], vanished)
    going = bucket("True", "Ready")
    going["metadata"]["deletionTimestamp"] = "2023-11-14T22:14:00Z"
    assert news.of_resources([going], {}) == ["Bucket default/photos: is being deleted"]
    assert news.of_resources([], {}) == ["Bucket default/photos: deleted"]


def test_a_problem_is_told_when_it_comes_and_when_it_is_solved():
    news = News()
    assert news.of_problems(["b", "a"]) == ["problem: a", "problem: b"]
    assert news.of_problems(["b", "c"]) == ["problem: c", "solved: a"]
    assert news.of_problems([]) == ["solved: b", "solved: c"]


def test_what_happened_is_told_each_time_and_what_a_condition_says_is_not():
    log, news = EventLog(), News()
    log.record(PHOTOS, "uid", "Normal", "BucketServed", "served", 1.0)
    log.record(PHOTOS, "uid", "Normal", "DeletionCalledOff", "called off", 1.0)
    assert news.of_events(log.all()) == ["Bucket default/photos: DeletionCalledOff: called off"]
    assert news.of_events(log.all()) == []
    log.record(PHOTOS, "uid", "Normal", "DeletionCalledOff", "called off", 2.0)
    assert news.of_events(log.all()) == ["Bucket default/photos: DeletionCalledOff: called off"]
    assert news.of_events(log.all()) == []


def test_what_clients_ask_for_over_s3_is_told():
    log, news = EventLog(), News()
    log.record(PHOTOS, "uid", "Normal", "CreatedOverS3", "made", 1.0)
    log.record(PHOTOS, "uid", "Warning", "CreateRefused", "too many", 1.0)
    assert sorted(news.of_events(log.all())) == [
        "Bucket default/photos: CreateRefused: too many",
        "Bucket default/photos: CreatedOverS3: made",
    ]


def test_control_characters_of_a_message_reach_no_terminal():
    (line,) = News().of_resources([bucket("False", "Invalid", "a\x1b[2Jb\nc")], {})
    assert "\x1b" not in line
    assert "\n" not in line
