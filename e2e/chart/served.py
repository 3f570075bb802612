"""The gateway's certificate as it is served, and renewed while a client works."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography import x509

from e2e.chart.release import NAME, Release

SECRET = f"{NAME}-cooper-gateway-tls"
POD = f"pod/{NAME}-cooper-gateway-0"


async def renewed_while_a_client_works(
    release: Release, values: dict[str, str], renew: Callable[[], Awaitable[str]]
) -> None:
    """Have the certificate renewed: it is served, by the same process, and no request of a client with these values
    fails. `renew` begins it and returns the former one (PEM).
    """
    async with release.client(values) as s3, release.forwarded() as port:
        working = asyncio.create_task(_work(s3, values["BUCKET"]))
        began = time.monotonic()
        former = serial(await renew())
        async with asyncio.timeout(30):
            while (renewed := await serial_made(release)) == former:
                await asyncio.sleep(0.5)
        print(f"\nthe certificate was renewed after {time.monotonic() - began:.1f} s")
        await have_kubelet_look(release)
        async with asyncio.timeout(60):
            while serial(await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))) != renewed:
                await asyncio.sleep(0.5)
        print(f"and served after {time.monotonic() - began:.1f} s")
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
    assert (await release.get(POD, release.namespace))["status"]["containerStatuses"][0]["restartCount"] == 0


async def have_kubelet_look(release: Release) -> None:
    """It looks after a Pod's Secrets once a minute, and whenever something about the Pod changes."""
    await release.kubectl("-n", release.namespace, "annotate", "--overwrite", POD, f"example.com/look={time.time()}")


async def serial_made(release: Release) -> int:
    """The serial number of the certificate that is to be served."""
    return serial((await release.secret(release.namespace, SECRET))["tls.crt"])


def serial(certificate: str) -> int:
    """A certificate's serial number."""
    return x509.load_pem_x509_certificate(certificate.encode()).serial_number


async def _work(s3: Any, bucket: str) -> None:
    """Requests, one after the other, until cancelled; fails with the first that does."""
    while True:
        await asyncio.to_thread(s3.put_object, Bucket=bucket, Key="kept", Body=b"kept")
        await asyncio.sleep(0.1)
