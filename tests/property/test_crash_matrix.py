"""A crash before and after every step of every plan: another operator ends what was begun, and nothing is left over."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, get_args

import pytest

from cooper_operator.plan import steps as do
from property.test_operator_model import Act, act
from support.crashes import Injection, revive
from support.operator_model import RECIPIENT, Model
from support.virtual_time import VirtualLoop

#: Seconds between acts: an operator that dies in between has been followed by another one that is done.
_PAUSE: Final = 6.0
_LETS: Final = [{"bucketName": "aaa", "namespace": "partner"}]
_WEB: Final = {"secretName": "app", "restart": [{"kind": "Deployment", "name": "web"}]}
_KEEP: Final = {"deletionPolicy": "Retain"}
_HEIR: Final = {"bucketName": "aaa", "adopt": True}
_GUEST: Final = {"grants": [{"bucket": "aaa", "namespace": "default"}]}
_GRANT: Final = {"from": [{"namespace": "partner"}]}
_SITE: Final = {"visibility": "Public"}
_ORG: Final = [{"suffix": "x.org"}]
_ONCE: Final = {"grants": [{"bucket": "aaa"}], "delivery": "Once", "once": {"recipient": RECIPIENT}}

#: Lives, each of which begins with a Region and its record. Together they take every kind of step.
LIVES: Final[dict[str, Sequence[Act]]] = {
    "made, changed and deleted": [
        ("bucket", "aaa", {}),
        ("bucket", "aaa", {"visibility": "Public", "credentials": {"actions": ["s3:GetObject"]}}),
        ("bucket", "aaa", {"apiAccess": "Revoked"}),
        ("bucket", "aaa", {"apiAccess": "Allowed", "credentials": {"enabled": False}}),
        ("bucket", "aaa", {}),
        ("delete", ("Bucket", "aaa")),
    ],
    "another key, revoked and back": [
        ("bucket", "aaa", {}),
        ("key", "ci", {"grants": [{"bucket": "aaa"}], **_WEB}),
        ("key", "ci", {"grants": [{"bucket": "aaa"}], **_WEB, "state": "Revoked"}),
        ("key", "ci", {"grants": [{"bucket": "aaa"}], "secretName": "other"}),
        ("delete", ("AccessKey", "ci")),
    ],
    "rotated with an overlap and a restart": [
        ("bucket", "aaa", {}),
        ("key", "ci", {"grants": [{"bucket": "aaa"}], **_WEB, "rotation": {"overlap": "3s"}}),
        ("rotate", ("AccessKey", "ci")),
        ("roll out", True),
    ],
    "delivered once": [("bucket", "aaa", {}), ("key", "ci", _ONCE), ("rotate", ("AccessKey", "ci"))],
    "granted across namespaces and withdrawn": [
        ("bucket", "aaa", {}),
        ("grant", "one", _GRANT),
        ("key", "partner/guest", _GUEST),
        ("grant", "one", {**_GRANT, "actions": ["s3:GetObject"], "prefixes": ["a/"]}),
        ("grant", "one", None),
        ("grant", "one", _GRANT),
        ("delete", ("Bucket", "aaa")),
    ],
    "called off": [
        ("bucket", "aaa", {}),
        ("recall", ("Bucket", "aaa"), 0.1),
        ("recall", ("Bucket", "aaa"), 0.25),
    ],
    "purged": [
        ("bucket", "aaa", {"deletionPolicy": "Purge"}),
        ("fill", 3),
        ("delete", ("Bucket", "aaa")),
    ],
    "purged, and what is left retained and adopted": [
        ("bucket", "aaa", {"deletionPolicy": "Purge"}),
        ("key", "ci", {"grants": [{"bucket": "aaa"}]}),
        ("fill", 3),
        ("purge by", 0),
        ("delete", ("Bucket", "aaa")),
        ("bucket", "aaa", _KEEP),
        ("purge by", 1),
        ("bucket", "again", {**_HEIR, **_KEEP}),
        ("delete", ("Bucket", "again")),
        ("bucket", "aaa", {"adopt": True}),
    ],
    "adopted by whom the Region names": [
        ("bucket", "aaa", _KEEP),
        ("delete", ("Bucket", "aaa")),
        ("bucket", "partner/heir", _HEIR),
        ("adoptions", _LETS),
        ("delete", ("Bucket", "partner/heir")),
    ],
    "two that want what is left": [
        ("bucket", "aaa", _KEEP),
        ("fill", 3),
        ("delete", ("Bucket", "aaa")),
        ("bucket", "one", _HEIR),
        ("bucket", "two", _HEIR),
        ("fill", 0),
        ("delete", ("Bucket", "one")),
    ],
    "domains that two want, and who may have them": [
        ("suffixes", _ORG),
        ("bucket", "aaa", {**_SITE, "domains": ["a.x.org"]}),
        ("bucket", "partner/site", {**_SITE, "domains": ["a.x.org", "b.x.org"]}),
        ("bucket", "aaa", {**_SITE, "domains": ["c.x.org"]}),
        ("bucket", "aaa", {"domains": ["b.x.org", "c.x.org"]}),
        ("suffixes", [{"suffix": "x.org", "namespaces": ["default"]}]),
        ("suffixes", []),
        ("suffixes", _ORG),
        ("delete", ("Bucket", "aaa")),
    ],
    "domains of what is purged, retained and adopted": [
        ("suffixes", _ORG),
        ("bucket", "aaa", {**_SITE, **_KEEP, "domains": ["a.x.org", "b.x.org"]}),
        ("bucket", "bbb", {**_SITE, "deletionPolicy": "Purge", "domains": ["a.x.org"]}),
        ("fill", 3),
        ("delete", ("Bucket", "aaa")),
        ("bucket", "heir", {**_SITE, **_HEIR, "domains": ["a.x.org", "b.x.org"]}),
        ("delete", ("Bucket", "bbb")),
        ("fill", 0),
        ("delete", ("Bucket", "heir")),
    ],
    "records that nobody is left for": [
        ("orphan", "ccc", 0),
        ("orphan", "ddd", 3),
        ("lost domain", "a.x.org"),
        ("sleep", 40.0),
    ],
    "a Region that comes and goes": [
        ("region", False),
        ("region", True),
        ("bucket", "aaa", {}),
        ("region", False),
        ("delete", ("Bucket", "aaa")),
        ("region", True),
    ],
}


async def _act(model: Model, step: Act) -> None:
    if step[0] == "sleep":
        await asyncio.sleep(step[1])
    elif step[0] == "purge by":
        model.gateways.purged_at_once = step[1]
    else:
        await act(model, step)


async def live(acts: Sequence[Act], injection: Injection, patch: pytest.MonkeyPatch) -> list[str]:
    """A life with one crash; the promises that were broken."""
    model = Model(1)
    injection.over(model, patch)
    await model.apply("Region", "local", {"tag": "us-east-1", "default": True})
    model.start()
    reviver = asyncio.create_task(revive(model))
    try:
        await asyncio.sleep(_PAUSE)
        for each in acts:
            await _act(model, each)
            await asyncio.sleep(_PAUSE)
            model.check_refusals()
        reviver.cancel()
        injection.ended = True
        await model.converge()
        await model.check_end()
    finally:
        reviver.cancel()
        await model.stop()
    return model.violations


def lived(what: str, injection: Injection) -> list[str]:
    """The broken promises of a life by its name."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(live(LIVES[what], injection, patch))


def points(what: str) -> list[str]:
    """What a life takes when nothing crashes: at each of these a crash is injected, before it and after it."""
    injection = Injection(None)
    assert lived(what, injection) == []
    return injection.taken


@pytest.mark.parametrize("what", LIVES)
def test_a_crash_at_any_step_changes_nothing_in_the_end(what: str, record_property: Any) -> None:
    taken = points(what)
    broken: dict[tuple[int, bool], list[str]] = {}
    for at, step in enumerate(taken):
        for before in (True, False):
            injection = Injection(at, before)
            found = lived(what, injection)
            if not injection.died or injection.taken[at] != step:
                found.append(f"no operator died there: {injection.taken[at : at + 1]} was taken in its place")
            if found:
                broken[at, before] = [step, *found]
    record_property("injection points", 2 * len(taken))
    print(f"{what}: {2 * len(taken)} injection points")
    assert broken == {}


def test_every_kind_of_step_is_among_the_injected(record_property: Any) -> None:
    taken = {what: points(what) for what in LIVES}
    total = sum(2 * len(each) for each in taken.values())
    record_property("injection points", total)
    print(f"{total} injection points in {len(taken)} lives")
    kinds = {each.__name__ for each in get_args(do.Step)}
    assert kinds - {each for steps in taken.values() for each in steps} == set()
    assert {"_write_status", "_update", "_remove_if_empty", "_give_up"} <= {
        each for steps in taken.values() for each in steps
    }
