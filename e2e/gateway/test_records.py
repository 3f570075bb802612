"""Records from a real cluster: what is written there is what the gateway does, and soon."""

import subprocess
import time
from collections.abc import Callable

import pytest

from cooper_cli.places import Places
from e2e.gateway.gate import Gate
from e2e.gateway.records import Namespace, usable_key
from support.gateway_rig import Gateway, answer
from support.records_fixtures import bucket, key, region
from support.rig import eventually


def seconds_until(what: str, check: Callable[[], bool]) -> float:
    began = time.monotonic()
    eventually(what, check, pause=0.001)
    return time.monotonic() - began


def test_a_key_appears_is_revoked_and_is_deleted_at_once(records: Namespace, gateway: Gateway) -> None:
    with gateway:
        assert eventually("readiness", lambda: gateway.ready)
        times: dict[str, list[float]] = {"appears": [], "revoked": [], "deleted": []}
        for serial in range(2, 22):
            new = usable_key(serial)
            client = gateway.client(new)
            records.put(new)
            times["appears"].append(seconds_until("the key", lambda client=client: answer(client) == "ok"))
            records.put(usable_key(serial, state="Revoked"))
            revoked = "the revocation"
            times["revoked"].append(seconds_until(revoked, lambda client=client: answer(client) == "KeyAccessRevoked"))
            records.delete(new)
            times["deleted"].append(
                seconds_until("the deletion", lambda client=client: answer(client) == "InvalidAccessKeyId")
            )
        for name, found in times.items():
            print(f"{name}: median {sorted(found)[10] * 1e3:.1f} ms, longest {max(found) * 1e3:.1f} ms")
            assert max(found) < 1.0  # the promise of a revocation; an event takes milliseconds
        assert gateway.metric("cooper_records_relists_total") == 1


def test_broken_secrets_are_left_out_told_and_counted(records: Namespace, gateway: Gateway) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        client = gateway.client(usable_key())
        records.put_raw("key-renamed", {"record.json": "e30="})
        records.put_raw("bucket-empty", {})
        eventually("two broken ones", lambda: gateway.metric("cooper_records_broken") == 2)
        records.put_raw("key-akiatest000000000001", {"record.json": "e30="})
        eventually("a denial", lambda: answer(client) == "InvalidAccessKeyId")
        records.put(usable_key())
        eventually("the key", lambda: answer(client) == "ok")
        log = gateway.log.read_text()
        assert log.count("record Secret bucket-empty is left out") == 1
        assert "record Secret key-akiatest000000000001 is not broken any more" in log


def test_stops_cleanly_and_leaves_no_credentials(records: Namespace, gateway: Gateway) -> None:
    gateway.start()
    eventually("readiness", lambda: gateway.ready)
    run = Places(gateway.data).run
    assert (run / "certificates").is_dir()  # of the kubeconfig
    assert gateway.stop() == 0
    assert not run.exists()
    assert "Traceback" not in gateway.log.read_text()
    for path in gateway.data.rglob("*"):
        if path.is_file() and path.name != "kek.json":
            assert key().secret_key.encode() not in path.read_bytes(), path


def test_ten_thousand_records(records: Namespace, gateway: Gateway) -> None:
    count = 10_000
    began = time.monotonic()
    records.put_many([usable_key(serial) for serial in range(1, count)])
    print(f"written in {time.monotonic() - began:.1f} s")
    last = gateway.client(usable_key(count - 1))
    began = time.monotonic()
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        took = time.monotonic() - began
        print(f"{count} records known {took:.2f} s after the start")
        assert gateway.metric("cooper_records") == count + 1
        assert answer(last) == "ok"
        assert took < 15
        watcher = max(int(line.split()[0]) for line in memory() if "cooper watcher" in line)
        print(f"the watcher has {watcher >> 10} MiB; {gateway.log.read_text().splitlines()[-1]}")
    with gateway:
        assert gateway.metric("cooper_records") == count + 1  # from the mirror, at once
        print(f"mirror: {(gateway.data / 'records-mirror').stat().st_size / count:.0f} bytes a record")


def memory() -> list[str]:
    """Resident kibibytes and command of all processes."""
    return subprocess.run(["ps", "-eo", "rss,args"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]


def test_a_silent_watch_is_found_out(records: Namespace, gateway: Gateway, gate: Gate) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        client = gateway.client(usable_key())
        assert answer(client) == "ok"
        gate.freeze()
        records.put(usable_key(state="Revoked"))
        time.sleep(1)
        assert answer(client) == "ok"  # nothing came through; the age says since when
        took = seconds_until("the API's silence", lambda: gateway.metric("cooper_records_api_reachable") == 0)
        assert took < 9
        gate.open()
        eventually("the revocation", lambda: answer(client) == "KeyAccessRevoked")


def test_region_settings_are_followed(records: Namespace, gateway: Gateway) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        records.delete(region())
        eventually("no Region", lambda: not gateway.ready)
        assert "no record of the Region local" in gateway.page("/readyz")[1]
        assert answer(gateway.client(usable_key())) == "ServiceUnavailable"
        records.put(region())
        eventually("readiness", lambda: gateway.ready)
        records.delete(bucket())
        eventually("a denial", lambda: answer(gateway.client(usable_key())) != "ok")


@pytest.mark.parametrize("signal_name", ["stop", "kill"])
def test_age_and_records_outlive_a_restart_without_the_api(
    records: Namespace, gateway: Gateway, gate: Gate, signal_name: str
) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        records.put(usable_key(2, state="Revoked"))
        revoked, active = gateway.client(usable_key(2)), gateway.client(usable_key())
        eventually("the revocation", lambda: answer(revoked) == "KeyAccessRevoked")
        gate.shut()
        getattr(gateway, signal_name)()
        time.sleep(1)
        gateway.start()
        assert gateway.ready
        assert (answer(active), answer(revoked)) == ("ok", "KeyAccessRevoked")
        assert 1 <= gateway.metric("cooper_record_age_seconds") < 20
        assert gateway.metric("cooper_records_api_reachable") == 0
        records.put(usable_key(state="Revoked"))
        gate.open()
        took = seconds_until("the revocation", lambda: answer(active) == "KeyAccessRevoked")
        print(f"the API's return was noticed after {took:.2f} s")
        assert took < 4
