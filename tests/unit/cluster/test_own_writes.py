"""What a watch shows of our own writes is told from what others did."""

from cooper_operator.cluster.own_writes import OwnWrites

PATH = "/apis/cooper.dev/v1alpha1/namespaces/default/buckets/photos"


def written(version: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"resourceVersion": version}}


def test_only_the_latest_write_is_an_echo_and_once() -> None:
    writes = OwnWrites()
    writes.wrote(PATH, written("7"))
    writes.wrote(PATH, written("9"))
    assert [writes.is_echo(PATH, version) for version in ("7", "8", "9", "9", "10")] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_another_object_at_the_same_version_is_no_echo() -> None:
    writes = OwnWrites()
    writes.wrote(PATH, written("7"))
    assert not writes.is_echo(PATH + "2", "7")
    assert writes.is_echo(PATH, "7")


def test_what_is_gone_is_never_an_echo_and_forgotten() -> None:
    writes = OwnWrites()
    writes.wrote(PATH, written("7"))
    assert not writes.is_echo(PATH, None)
    assert not writes.is_echo(PATH, "7")
