"""`deletionPolicy: Purge` with a real `cooper up` that is killed amid it: the bucket goes, and nothing of any other."""

import asyncio
import os
from pathlib import Path
from uuid import UUID

import msgspec

from clients.aws import read_env
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard
from support.rig import KEY_REFUSED, REGION, Rig, bucket, error_code, eventually, s3_client
from support.store_process import CommitterProcess, config_in

OBJECTS = 60_000  # more than a gateway removes while one question of the operator's waits for it
LARGE = os.urandom(200_000)


async def _fill(rig: Rig, uid: str) -> None:
    """Put many objects into the store, which nobody else has open."""
    config = msgspec.structs.replace(
        config_in(rig.home), data_dir=str(rig.data), kek_file=str(rig.data / "kek.json"), map_size=1 << 40
    )
    committer = CommitterProcess(config)
    try:
        store = EmbeddedStore(config, committer.keyring, asyncio.get_running_loop())
        place, guard = BucketRef(UUID(uid).bytes, "gone"), Guard("AKIATEST", "s3:PutObject")

        async def put(number: int) -> None:
            writer = store.writer(place, 1)
            await writer.write(b"x")
            await store.put(
                place, f"{number:06}".encode(), await writer.finish(), "e", Attributes(), None, Conditions(), guard
            )

        for first in range(0, OBJECTS, 500):
            await asyncio.gather(*(put(number) for number in range(first, first + 500)))
        await store.close()
    finally:
        committer.stop()


def _uid(rig: Rig, name: str) -> str:
    (found,) = (item for item in rig.items() if (item["kind"], item["metadata"]["name"]) == ("Bucket", name))
    return found["metadata"]["uid"]


def test_it_is_killed_amid_the_purge_and_goes_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("region.yaml", REGION, bucket("stays", deletionPolicy="Purge"))
    rig.apply("gone.yaml", bucket("gone", deletionPolicy="Purge"))
    with rig:
        kept, gone = rig.env("stays"), rig.env("gone")
        for env in (kept, gone):
            s3 = s3_client(env)
            s3.put_object(Bucket=env["BUCKET"], Key="large", Body=LARGE)
            upload = s3.create_multipart_upload(Bucket=env["BUCKET"], Key="never")["UploadId"]
            s3.upload_part(Bucket=env["BUCKET"], Key="never", UploadId=upload, PartNumber=1, Body=LARGE)
        uid = _uid(rig, "gone")
    asyncio.run(_fill(rig, uid))
    rig.start()
    try:
        rig.wait_condition("Bucket", "gone")
        (rig.resources / "gone.yaml").unlink()
        eventually("that it is told", lambda: "Bucket default/gone: Purging: " in rig.log.read_text())
        everybody = [pid for pids in rig.processes().values() for pid in pids]
        rig.kill()
        eventually("the children gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in everybody))
        assert f"of {OBJECTS + 1} objects are left to be removed" in rig.log.read_text()
        rig.start()
        client = s3_client(gone, retries={"max_attempts": 6})
        assert error_code(lambda: client.get_object(Bucket="gone", Key="large")) in KEY_REFUSED
        eventually("the bucket gone", lambda: not rig.condition("Bucket", "gone"), seconds=60, pause=0.2)
        _nothing_else_is(rig, kept)
        rig.apply("gone.yaml", bucket("gone"))  # the name is free
        eventually("another key", lambda: read_env(rig.credentials_file("gone")) != gone if _there(rig) else False)
        assert "Contents" not in rig.client("gone").list_objects_v2(Bucket="gone")
    finally:
        rig.stop()


def _there(rig: Rig) -> bool:
    return rig.credentials_file("gone").exists()


def _nothing_else_is(rig: Rig, kept: dict[str, str]) -> None:
    """On the disk than what the other bucket holds: its object, its part, its key."""
    s3 = s3_client(kept)
    assert s3.get_object(Bucket="stays", Key="large")["Body"].read() == LARGE
    assert len(s3.list_multipart_uploads(Bucket="stays")["Uploads"]) == 1
    segments = rig.data / "segments"
    eventually("the files' removal", lambda: len([each for each in segments.rglob("*") if each.is_file()]) == 2)
    assert len(list((rig.data / "bucket-keys").iterdir())) == 1


def test_a_manifest_that_is_away_for_a_moment_purges_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos", deletionPolicy="Purge"))
    with rig:
        env = rig.env("photos")
        s3_client(env).put_object(Bucket="photos", Key="k", Body=b"v")
        away = rig.home / "away"
        rig.resources.rename(away)  # a volume that is not mounted
        rig.resources.mkdir()
        rig.resources.rmdir()
        away.rename(rig.resources)
        (rig.resources / "all.yaml").chmod(0)
        (rig.resources / "all.yaml").chmod(0o644)
        (rig.resources / "all.yaml").write_text("kind: [")  # half written
        eventually("that it is told", lambda: "all.yaml" in rig.log.read_text())
        rig.apply("all.yaml", REGION, bucket("photos", deletionPolicy="Purge", maxObjectSize="1Mi"))
        rig.wait_condition("Bucket", "photos")
        assert s3_client(env).get_object(Bucket="photos", Key="k")["Body"].read() == b"v"
