"""Damage in the tree of names ends in an error that names the bucket: nobody goes round in circles."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cooper_gateway.storage import names_tree
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.names_tree import roll_up
from cooper_gateway.storage.port import Attributes, Damaged, NoSuchName, UploadInfo
from support.filled_store import BUCKET, DEEP, GUARD, filled, put
from support.store_process import CommitterProcess, config_in
from support.verifying import OpenedIndex


class Disordered:
    """A walk over names whose page is out of order: what is sought is behind what is found."""

    def __init__(self, *_: object) -> None:
        self.steps = 0

    def seek(self, name: bytes) -> tuple[bytes, bytes] | None:
        self.steps += 1
        assert self.steps < 10, "it goes round in circles"
        return b"a/b" + b"\0" + bytes(16), bytes(200)

    def after(self) -> tuple[bytes, bytes] | None:
        return None


class Circling(Disordered):
    """The same, and what follows is that again."""

    def after(self) -> tuple[bytes, bytes] | None:
        return b"a/b" + b"\0" + bytes(16), bytes(200)


def test_a_listing_of_names_out_of_order_ends() -> None:
    with pytest.raises(ValueError, match="out of order"):
        list(roll_up(Disordered(), b"", b"/", b""))  # type: ignore[arg-type]


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(tmp_path))
    filled(process)
    yield process
    process.kill()


async def opened(committer: CommitterProcess) -> AsyncIterator[EmbeddedStore]:
    committer.start()
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    yield store
    await store.close()


def lead_in_a_circle(committer: CommitterProcess) -> None:
    """Every node below another one is its bucket's root."""
    index = OpenedIndex(committer.config)
    with index:
        for key, _ in index.items("names"):
            if len(key) == names_tree.NODE + names_tree.CHUNK:
                index.txn.put(key, key[: names_tree.NODE], db=index.tables["names"])


def spoil_row(committer: CommitterProcess) -> None:
    index = OpenedIndex(committer.config)
    with index:
        index.txn.put(BUCKET.data_id, b"\x98\xc0", db=index.tables["buckets"])


async def test_a_node_that_leads_back_to_the_root_is_damage(committer: CommitterProcess) -> None:
    await asyncio.to_thread(lead_in_a_circle, committer)
    async for store in opened(committer):
        for prefix in (b"", b"d"):
            with pytest.raises(Damaged, match="the names of bucket photos"):
                await store.list_objects(BUCKET, prefix, b"/", b"", 1000)
        with pytest.raises(NoSuchName):  # a look-up ends where the name does
            await store.open(BUCKET, DEEP)
        assert (await store.list_objects(BUCKET, b"small", b"", b"", 10)).entries  # and what is sound is served
        await put(store, BUCKET, b"small", b"another")


async def test_a_row_that_cannot_be_read_is_damage_of_what_is_asked_for(committer: CommitterProcess) -> None:
    await asyncio.to_thread(spoil_row, committer)
    async for store in opened(committer):
        with pytest.raises(Damaged, match="object 'small' of bucket photos"):
            await store.open(BUCKET, b"small")
        with pytest.raises(Damaged, match="the names of bucket photos"):
            await store.list_objects(BUCKET, b"", b"", b"", 10)
        with pytest.raises(Damaged, match="an upload of bucket photos"):
            await store.list_uploads(BUCKET, b"", b"", (b"", ""), 10)
        for asked in (store.upload_info(BUCKET, b"begun", "0" * 32), store.list_parts(BUCKET, b"n", "0" * 32, 0, 1)):
            with pytest.raises(Damaged, match=r"upload 0+ of bucket photos"):
                await asked
        with pytest.raises(Damaged, match="the row of bucket photos"):
            await store.usage(BUCKET)


@pytest.mark.parametrize(
    ("place", "instead", "reason"),
    [(0, b"\2", "upgrade this program"), (-1, b"", "does not verify")],
    ids=["of a later format", "cut off"],
)
async def test_an_entry_that_cannot_be_listed_is_named(
    committer: CommitterProcess, place: int, instead: bytes, reason: str
) -> None:
    def spoil() -> None:
        index = OpenedIndex(committer.config)
        with index:
            for key, value in index.items("names"):
                if key[names_tree.NODE :] == b"small":
                    spoilt = value[:place] + instead + value[place:][1:]
                    index.txn.put(key, spoilt, db=index.tables["names"])

    await asyncio.to_thread(spoil)
    async for store in opened(committer):
        for delimiter in (b"", b"/"):
            with pytest.raises(Damaged, match=rf"object 'small' of bucket photos: .*{reason}"):
                await store.list_objects(BUCKET, b"", delimiter, b"", 1000)


async def test_uploads_out_of_order_are_looked_at_once(
    committer: CommitterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async for store in opened(committer):
        await store.create_upload(BUCKET, UploadInfo(b"z", 1, Attributes()), GUARD)
        monkeypatch.setattr(names_tree, "Walk", Circling)
        assert store._uploads._idle(BUCKET.data_id, b"b", 0) == ([], None)
