"""Random edits, faults and crashes of the operator; whatever happens, its promises hold, and in the end all is well."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooper_crds.fields import timestamp
from support.folder_stage import FolderStage
from support.operator_model import RECIPIENT, Model
from support.stages import StageMaker
from support.virtual_time import VirtualLoop

BUCKETS = ("aaa", "bbb")
KEYS = ("aaa", "ci")  # one is a Bucket's name
GUEST = "partner/guest"  # an AccessKey of another namespace
SECRETS = ("aaa", "app")
EXPIRES = (None, 20.0, 1e6)
Act = tuple[Any, ...]


def spec(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A spec with some of these fields; None leaves one out."""
    drawn = st.fixed_dictionaries(fields)
    return drawn.map(lambda found: {name: value for name, value in found.items() if value is not None})


_SECRET_NAME = st.sampled_from([None, "app"])
_SECRET_PROFILES = st.sampled_from([None, ["AWS"], ["S3Env", "CredentialsFile"], ["OBC"]])
_SECRET_KEYS = st.sampled_from([None, {"accessKeyId": "SECRET_KEY", "secretAccessKey": "PASSWORD"}])
_SECRET: dict[str, st.SearchStrategy[Any]] = {
    "secretName": _SECRET_NAME,
    "secretProfiles": _SECRET_PROFILES,
    "secretKeys": _SECRET_KEYS,
}
_ROTATION = st.sampled_from(
    [None, {"overlap": "0s"}, {"overlap": "5s"}, {"overlap": "40s"}, {"interval": "1m", "overlap": "5s"}]
)
_RESTART = st.sampled_from([None, [{"kind": "Deployment", "name": "web"}]])
_SECRET |= {"rotation": _ROTATION, "restart": _RESTART}
_ACTIONS = st.sampled_from([None, ["s3:GetObject"]])
BUCKET_SPEC = spec(
    apiAccess=st.sampled_from(["Allowed", "Revoked"]),
    visibility=st.sampled_from([None, "Public"]),
    deletionPolicy=st.sampled_from(["Delete", "Delete", "Purge", "Retain"]),
    adopt=st.sampled_from([None, None, True]),
    credentials=spec(enabled=st.sampled_from([True, True, False]), actions=_ACTIONS, **_SECRET),
)
_PREFIXES = st.sampled_from([None, None, ["a/"], ["a/b/", "b/"]])
_NETWORKS = st.sampled_from([None, None, ["192.0.2.0/24"]])


def rights(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Grants on single Buckets."""
    each = spec(bucket=st.sampled_from(BUCKETS), actions=_ACTIONS, prefixes=_PREFIXES, **more)
    return st.lists(each, min_size=1, max_size=2, unique_by=lambda grant: grant["bucket"])


KEY_SPEC = spec(
    grants=rights(),
    allBuckets=st.sampled_from([None, None, {}, {"actions": ["s3:ListBucket"]}]),
    allowedNetworks=_NETWORKS,
    delivery=st.sampled_from([None, None, "Once"]),
    once=st.just({"recipient": RECIPIENT}),
    state=st.sampled_from(["Active", "Active", "Revoked"]),
    expiresAt=st.sampled_from(EXPIRES),  # seconds from then on
    **_SECRET,
)
GUEST_SPEC = spec(grants=rights(namespace=st.just("default")), state=st.sampled_from(["Active", "Active", "Revoked"]))
GRANT_SPEC = spec(
    **{
        "from": st.sampled_from(
            [[{"namespace": "partner"}], [{"namespace": "partner"}, {"namespace": "x"}], [{"namespace": "x"}]]
        )
    },
    buckets=st.sampled_from([None, ["aaa"], ["bbb", "ccc"]]),
    actions=_ACTIONS,
    prefixes=_PREFIXES,
)
NAMED = [("Bucket", "aaa"), ("Bucket", "bbb"), ("AccessKey", "aaa"), ("AccessKey", "ci")]
#: Seconds: a Bucket's deletion takes its steps between a tenth and four tenths of one.
RECALLED_AFTER = st.sampled_from([0.0, 0.01, 0.03, 0.06, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3, 1.0])
#: The same in folders, where a deletion begins when a file has been gone for two seconds.
BACK_AFTER = st.sampled_from([0.0, 1.0, 2.0, 2.1, 2.15, 2.2, 2.3, 2.5, 3.0, 4.0])


def recalls(after: st.SearchStrategy[float]) -> list[tuple[int, st.SearchStrategy[Act]]]:
    """A resource is deleted, and put back so many seconds later."""
    return [(4, st.tuples(st.just("recall"), st.sampled_from(NAMED), after))]


#: What happens, and how often: mostly edits, workers that lag, and crashes; what stops everything is rare.
ANYWHERE: list[tuple[int, st.SearchStrategy[Act]]] = [
    (4, st.tuples(st.just("bucket"), st.sampled_from(BUCKETS), BUCKET_SPEC)),
    (5, st.tuples(st.just("key"), st.sampled_from(KEYS), KEY_SPEC)),
    (3, st.tuples(st.just("delete"), st.sampled_from(NAMED))),
    (1, st.tuples(st.just("region"), st.booleans())),
    (1, st.tuples(st.just("spoil"), st.sampled_from(SECRETS), st.booleans())),
    (1, st.tuples(st.just("damage"), st.integers(0, 9))),
    (1, st.tuples(st.just("away"), st.booleans())),
    (3, st.tuples(st.just("stale"), st.integers(0, 1), st.booleans())),
    (1, st.tuples(st.just("catch up"), st.integers(0, 1))),
    (1, st.tuples(st.just("unavailable"), st.booleans())),
    (2, st.tuples(st.just("fill"), st.sampled_from([0, 0, 3]))),
    (5, st.tuples(st.just("crash"), st.integers(1, 10))),
]
ACTS = [*ANYWHERE, *recalls(RECALLED_AFTER)]
CLASHES: list[tuple[int, st.SearchStrategy[Act]]] = [(1, st.tuples(st.just("foreign"), st.sampled_from(SECRETS)))]
SHARES: list[tuple[int, st.SearchStrategy[Act]]] = [
    (1, st.tuples(st.just("key"), st.just(GUEST), GUEST_SPEC)),
    (3, st.tuples(st.just("grant"), st.sampled_from(["one", "other"]), st.one_of(st.none(), GRANT_SPEC))),
]
ROTATIONS: list[tuple[int, st.SearchStrategy[Act]]] = [
    (2, st.tuples(st.just("rotate"), st.sampled_from([*NAMED, ("AccessKey", "aaa"), ("AccessKey", "ci")]))),
]
ROLL_OUTS: list[tuple[int, st.SearchStrategy[Act]]] = [(1, st.tuples(st.just("roll out"), st.booleans()))]
HEIR = "partner/heir"  # a Bucket of another namespace that wants what was left under the name of one here
_HEIR_SPEC = spec(
    bucketName=st.just("aaa"),
    adopt=st.sampled_from([True, True, None]),
    deletionPolicy=st.sampled_from(["Retain", "Retain", "Delete"]),
)
_LETS = st.sampled_from([[], [{"bucketName": "aaa", "namespace": "partner"}]])
INHERITANCES: list[tuple[int, st.SearchStrategy[Act]]] = [
    (2, st.tuples(st.just("bucket"), st.just(HEIR), _HEIR_SPEC)),
    (2, st.tuples(st.just("delete"), st.just(("Bucket", HEIR)))),
    (1, st.tuples(st.just("adoptions"), _LETS)),
    (1, st.tuples(st.just("orphan"), st.sampled_from(["ccc", "ddd"]), st.sampled_from([0, 3]))),
]
NAMESPACES: list[tuple[int, st.SearchStrategy[Act]]] = [(1, st.tuples(st.just("anew"), st.just("partner")))]
DOMAINS = ("a.x.org", "b.x.org", "c.y.org")
_DOMAIN_SPEC = spec(
    visibility=st.sampled_from(["Public", "Public", None]),
    domains=st.sampled_from([None, ["a.x.org"], ["a.x.org"], ["b.x.org", "a.x.org"], ["c.y.org", "a.x.org"]]),
    deletionPolicy=st.sampled_from(["Delete", "Purge", "Retain"]),
)
_SUFFIXES = st.sampled_from(
    [
        [],
        [{"suffix": "x.org"}],
        [{"suffix": "x.org"}, {"suffix": "org", "namespaces": ["partner"]}],
        [{"suffix": "org"}, {"suffix": "a.x.org", "namespaces": ["partner"]}],
    ]
)
_WITH_DOMAINS = [("Bucket", "aaa"), ("Bucket", "bbb"), ("Bucket", "partner/site")]
NAMES: list[tuple[int, st.SearchStrategy[Act]]] = [
    (3, st.tuples(st.just("bucket"), st.sampled_from([name for _, name in _WITH_DOMAINS]), _DOMAIN_SPEC)),
    (1, st.tuples(st.just("suffixes"), _SUFFIXES)),
    (1, st.tuples(st.just("delete"), st.sampled_from(_WITH_DOMAINS))),
    (1, st.tuples(st.just("lost domain"), st.sampled_from(DOMAINS))),
]
#: Seconds in which an operator notices all that it is told late, and does what it put off.
_LONG = 30.0
PAUSES = st.sampled_from([0.0, 0.01, 0.01, 0.1, 0.3, 0.3, 1.0, 3.0, 3.0, 35.0])


def steps_of(acts: list[tuple[int, st.SearchStrategy[Act]]]) -> st.SearchStrategy[list[tuple[Act, float]]]:
    """Lives. Lists of lists are long on average, and short ones can still be tried when a failure is narrowed down."""
    step = st.sampled_from([each for weight, each in acts for _ in range(weight)]).flatmap(lambda each: each)
    return st.lists(st.lists(st.tuples(step, PAUSES), max_size=10), max_size=10).map(lambda found: [*chain(*found)])


_EVERYWHERE = [*CLASHES, *SHARES, *ROTATIONS, *INHERITANCES, *NAMES]
STEPS = steps_of([*ACTS, *_EVERYWHERE, *ROLL_OUTS, *NAMESPACES])
_FILE = st.integers(0, 9)
#: What people do to files, and an operator that dies within a write, or is not there for a while.
FILES: list[tuple[int, st.SearchStrategy[Act]]] = [
    (1, st.tuples(st.just("broken"), _FILE)),
    (1, st.tuples(st.just("mended"))),
    (2, st.tuples(st.just("moved"), _FILE)),
    (1, st.tuples(st.just("twice"), _FILE)),
    (2, st.tuples(st.just("one less"), _FILE)),
    (1, st.tuples(st.just("folder away"), st.booleans())),
    (1, st.tuples(st.just("deleted over S3"), st.sampled_from(BUCKETS))),
    (4, st.tuples(st.just("cut"), st.integers(0, 40))),
    (2, st.tuples(st.just("down"))),
    (2, st.tuples(st.just("up"))),
]
FOLDER_STEPS = steps_of([*ANYWHERE, *recalls(BACK_AFTER), *_EVERYWHERE, *FILES])


async def act(model: Model, step: Act) -> None:
    what, *how = step
    if what == "bucket":
        await model.apply("Bucket", how[0], how[1])
    elif what == "key":
        expires = how[1].get("expiresAt")
        timed = {} if expires is None else {"expiresAt": timestamp(model.now() + expires)}
        await model.apply("AccessKey", how[0], how[1] | timed)
    elif what == "grant":
        await (model.delete("BucketGrant", how[0]) if how[1] is None else model.apply("BucketGrant", how[0], how[1]))
    elif what == "rotate":
        await model.rotate(*how[0])
    elif what == "delete":
        await model.delete(*how[0])
    elif what == "recall":
        await model.delete(*how[0])
        await asyncio.sleep(how[1])
        await model.recall(*how[0])
    elif what == "region":
        await (
            model.apply("Region", "local", {"tag": "x", "default": True}) if how[0] else model.delete("Region", "local")
        )
    elif what == "adoptions":
        await model.apply("Region", "local", {"tag": "us-east-1", "default": True, "adoptions": how[0]})
    elif what == "suffixes":
        await model.let_domains(how[0])
    elif what == "lost domain":
        await model.lose_domain(how[0])
    elif what == "orphan":
        await model.orphan(how[0], how[1])
    elif what == "foreign":
        model.set_foreign(how[0])
    elif what == "spoil":
        model.spoil_secret(how[0], remove=how[1])
    elif what == "damage":
        model.damage(how[0])
    elif what == "away":
        model.gateways.away = how[0]
    elif what == "stale":
        (model.gateways.stale.add if how[1] else model.gateways.stale.discard)(how[0])
    elif what == "catch up":
        model.gateways.catch_up(how[0])
    elif what == "unavailable":
        model.stage.unavailable = "maintenance" if how[0] else None
    elif what == "fill":
        await model.fill(how[0])
    elif what == "crash":
        await model.crash_within(how[0])
    elif what == "cut":
        await model.stage.happen(what, *how)
        await model.crash_within(None)
    elif what == "down":
        await model.stop()
    elif what == "up":
        model.start_again()
    else:
        await model.stage.happen(what, *how)


async def live(steps: list[tuple[Act, float]], seed: int, make_stage: StageMaker | None = None) -> list[str]:
    """A whole life; returns the promises that were broken."""
    model = Model(seed, make_stage)
    await model.apply("Region", "local", {"tag": "us-east-1", "default": True})
    for name in BUCKETS:
        await model.apply("Bucket", name, {})
    await model.apply("AccessKey", "ci", {"grants": [{"bucket": name} for name in BUCKETS]})
    await model.apply("AccessKey", GUEST, {"grants": [{"bucket": "aaa", "namespace": "default"}]})
    await model.apply("BucketGrant", "one", {"from": [{"namespace": "partner"}]})
    model.start()
    await asyncio.sleep(3)
    try:
        for step, pause in steps:
            await act(model, step)
            await asyncio.sleep(pause)
            model.check_refusals()
            if pause > _LONG:
                model.check_withdrawn(pause)
        await model.converge()
        await model.check_end()
    finally:
        await model.stop()
    return model.violations


async def live_on_folders(steps: list[tuple[Act, float]], seed: int) -> list[str]:
    """The same in folders of its own, in memory where there is such a place: a life is many small files."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as root:
        return await live(steps, seed, partial(FolderStage, Path(root)))


Live = Callable[[list[tuple[Act, float]], int], Awaitable[list[str]]]
#: How lives are lived, of what they are made, and how many there are, also of the long run.
LIVES: dict[str, tuple[Live, st.SearchStrategy[list[tuple[Act, float]]], int, int]] = {
    "in memory": (live, STEPS, 100, 3000),
    "on folders": (live_on_folders, FOLDER_STEPS, 30, 500),
}


@pytest.mark.parametrize("where", LIVES)
def test_promises_hold_whatever_happens(where: str, request: pytest.FixtureRequest) -> None:
    soak = request.config.getoption("--soak")
    lived, lives, few, many = LIVES[where]

    @settings(
        max_examples=many if soak else few,
        derandomize=not soak,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(lives, st.integers(0, 2**32))
    def check(steps: list[tuple[Act, float]], seed: int) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            assert runner.run(lived(steps, seed)) == []

    check()


#: Lives that broke a promise once, each with its seed.
FOUND: dict[str, tuple[list[tuple[Act, float]], int]] = {
    "a worker that refuses a bucket by a record of before": (
        [
            (("bucket", "bbb", {"apiAccess": "Revoked"}), 0.0),
            (("crash", 5), 0.0),
            (("bucket", "bbb", {"apiAccess": "Allowed"}), 0.0),
            (("stale", 0, True), 0.01),
            (
                (
                    "bucket",
                    "aaa",
                    {"apiAccess": "Revoked", "deletionPolicy": "Retain", "credentials": {"enabled": False}},
                ),
                0.0,
            ),
            (("away", False), 0.3),
            (("bucket", "bbb", {"apiAccess": "Revoked", "credentials": {"secretName": "app"}}), 3.0),
        ],
        6812417,
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once(what: str) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(live(*FOUND[what])) == []
