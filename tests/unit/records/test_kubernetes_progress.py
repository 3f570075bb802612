from cooper_gateway.records.kubernetes_progress import Progress


def listed(version: int) -> Progress:
    progress = Progress()
    assert progress.listed(version) is None
    return progress


def test_without_a_revision_object_every_answer_proves() -> None:
    assert listed(10).read(None, 100.0) == 100.0


def test_what_was_seen_already_proves_at_once() -> None:
    progress = listed(10)
    assert progress.read(10, 100.0) == 100.0
    assert not progress.behind


def test_a_write_that_was_not_seen_proves_nothing_until_it_is() -> None:
    progress = listed(10)
    assert progress.read(12, 100.0) is None
    assert progress.behind
    assert progress.saw(11) is None
    assert progress.saw(12) == 100.0
    assert not progress.behind
    assert progress.saw(13) is None  # an event by itself proves nothing


def test_the_first_of_several_readings_is_what_is_awaited() -> None:
    progress = listed(10)
    assert progress.read(12, 100.0) is None
    assert progress.read(15, 102.0) is None
    assert progress.saw(12) == 100.0
    assert progress.read(15, 104.0) is None
    assert progress.saw(15) == 104.0


def test_versions_are_compared_as_numbers() -> None:
    progress = listed(9)
    assert progress.read(10, 100.0) is None


def test_a_list_catches_up() -> None:
    progress = listed(10)
    progress.read(12, 100.0)
    assert progress.listed(12) is None
    assert not progress.behind
    assert progress.read(12, 103.0) == 103.0


def test_a_list_may_also_go_back_since_it_is_the_truth() -> None:
    progress = listed(100)
    progress.listed(50)
    assert progress.seen == 50
    assert progress.read(60, 100.0) is None


def test_a_last_write_is_remembered_when_its_object_vanishes() -> None:
    progress = listed(10)
    progress.read(12, 100.0)
    assert progress.read(None, 102.0) is None
    assert progress.behind


def test_a_last_write_that_a_later_list_does_not_reach_is_of_another_cluster() -> None:
    progress = listed(10)
    assert progress.read(999, 100.0) is None
    assert progress.listed(11) == 999
    assert progress.listed(12) is None
    assert progress.read(999, 102.0) == 102.0
    assert progress.read(15, 104.0) is None  # it was written anew: that counts
