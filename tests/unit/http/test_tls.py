"""The server over TLS: what clients see, how it ends, and certificates that are replaced. On uvloop, as workers run."""

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from cooper_gateway.http.certificate import CertificateError, ServingCertificate
from cooper_gateway.http.limits import DEFAULT_LIMITS
from cooper_operator.certificates.x509 import Pair
from support.http_rig import Rig, read_answer, with_server
from support.tls import Files, authority, serving

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LOOK = 0.05


def trusting(by: Pair | None = None) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=(by or authority()).certificate)


async def connect(rig: Rig, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("localhost", rig.port, ssl=context or trusting(), limit=1 << 20)


async def served(rig: Rig, context: ssl.SSLContext | None = None) -> bool:
    """Whether a new connection is trusted, and answered."""
    try:
        reader, writer = await connect(rig, context)
    except ssl.SSLCertVerificationError:
        return False
    writer.write(GET)
    status, _, body = await read_answer(reader)
    writer.close()
    assert (status, body) == (200, b"hello")
    return True


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await condition():
            await asyncio.sleep(LOOK)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def certificate(files: Files) -> ServingCertificate:
    return ServingCertificate(str(files.certificate), str(files.key))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_and_answers_of_any_size(certificate: ServingCertificate, version: ssl.TLSVersion) -> None:
    async def test(rig: Rig) -> None:
        context = trusting()
        context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        reader, writer = await connect(rig, context)
        spoken = writer.get_extra_info("ssl_object")
        assert spoken.selected_alpn_protocol() == "http/1.1"
        writer.write(GET + b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 3_000_000 + GET)
        assert (await read_answer(reader))[2] == b"hello"
        assert (await read_answer(reader))[2].startswith(b"3000000 ")
        assert (await read_answer(reader))[2] == b"hello"
        writer.write(b"GET /stream/5000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_answer(reader))[2] == b"x" * 5_000_000
        writer.close()

    with_server("uvloop", test, certificate=certificate)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_versions_and_plain_http_are_refused(certificate: ServingCertificate) -> None:
    async def test(rig: Rig) -> None:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await connect(rig, old)
        try:
            assert b"HTTP/1.1" not in await rig.send(GET)
        except ConnectionResetError:
            pass
        assert rig.pipeline.events == []
        assert await served(rig)
        assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2  # whatever else the system forbids

    with_server("uvloop", test, certificate=certificate)


def test_who_never_shakes_hands_is_cut(certificate: ServingCertificate) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        try:
            assert await asyncio.wait_for(reader.read(-1), 5) == b""
        except ConnectionResetError:
            pass
        writer.close()
        assert await served(rig)

    with_server("uvloop", test, replace(DEFAULT_LIMITS, handshake_seconds=0.2), certificate=certificate)


def test_handshakes_are_bounded_and_those_that_are_over_or_given_up_count_no_more(
    certificate: ServingCertificate,
) -> None:
    async def test(rig: Rig) -> None:
        kept = [await connect(rig) for _ in range(5)]  # one after the other, and all stay
        begun = [await rig.connect() for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await connect(rig)
        begun[0][1].transport.abort()
        await eventually(lambda: served(rig))
        begun.append(await rig.connect())
        await asyncio.sleep(0.1)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await connect(rig)
        await asyncio.sleep(1)  # by then they are cut
        assert await served(rig)
        for _, writer in kept + begun:
            writer.transport.abort()

    with_server("uvloop", test, replace(DEFAULT_LIMITS, handshakes=2, handshake_seconds=0.8), certificate=certificate)


def test_who_leaves_while_it_is_answered_ends_the_request(
    certificate: ServingCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await connect(rig)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            while not rig.pipeline.events:
                await asyncio.sleep(0.01)
        writer.close()
        await asyncio.wait_for(rig.pipeline.closed.wait(), 5)
        assert rig.pipeline.events == ["GET /slow", "cancelled"]

    with_server("uvloop", test, certificate=certificate)
    assert caplog.records == []


def test_a_client_that_is_idle_does_not_hold_up_the_end(certificate: ServingCertificate) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await connect(rig)
        writer.write(GET)
        await read_answer(reader)
        writer.transport.pause_reading()  # as a pool of connections: nobody looks whether the server says good-bye
        began = asyncio.get_running_loop().time()
        await rig.server.stop(grace=10)
        assert asyncio.get_running_loop().time() - began < 3
        assert rig.server.connections == 0
        writer.transport.abort()

    with_server("uvloop", test, certificate=certificate)


def test_a_certificate_that_is_replaced_serves_new_connections(
    files: Files, certificate: ServingCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    other = authority("another")

    async def test(rig: Rig) -> None:
        following = asyncio.create_task(certificate.follow(LOOK))
        reader, writer = await connect(rig)
        files.put(serving(by=other))
        await eventually(lambda: served(rig, trusting(other)))
        assert not await served(rig)
        writer.write(GET)  # those that are there stay
        assert (await read_answer(reader))[2] == b"hello"
        writer.close()
        following.cancel()

    with caplog.at_level(logging.INFO), caplog.at_level(logging.INFO, "cooper_gateway"):
        with_server("uvloop", test, certificate=certificate)
    assert [each.levelname for each in caplog.records] == ["INFO"]
    assert "was renewed" in caplog.text


#: What the two files hold, and what is said of it.
UNUSABLE = {
    "no certificate": ("", serving().key, "{cert} holds no certificate in PEM form"),
    "no key": (serving().certificate, "", "{key} holds no private key in PEM form"),
    "the wrong way round": (serving().key, serving().certificate, "{cert} holds no certificate in PEM form"),
    "of two pairs": (serving().certificate, serving().key, "the key {key} does not belong to the certificate {cert}"),
    "a damaged certificate": (
        serving().certificate.replace("\nMII", "\nMIJ", 1),
        serving().key,
        "the certificate {cert} and the key {key} cannot be used",
    ),
    "a protected key": (
        serving().certificate,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhXOmeRK1h8HQICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n",
        "the key {key}",
    ),
    "too much": ("x" * (2 << 20), serving().key, "{cert} is too long"),
}


def unusable(files: Files, case: str) -> tuple[Pair, str]:
    certificate, key, said = UNUSABLE[case]
    return Pair(certificate, key), said.format(cert=files.certificate, key=files.key)


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_served_with_says_so(files: Files, case: str) -> None:
    pair, said = unusable(files, case)
    files.put(pair)
    with pytest.raises(CertificateError) as raised:
        ServingCertificate(str(files.certificate), str(files.key))
    assert said in str(raised.value)


def test_files_that_are_not_there(files: Files) -> None:
    with pytest.raises(CertificateError, match=r"nowhere cannot be read: No such file"):
        ServingCertificate("nowhere", str(files.key))


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_served_with_leaves_the_former_pair_in_use(
    files: Files, certificate: ServingCertificate, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    other = authority("another")

    async def test(rig: Rig) -> None:
        following = asyncio.create_task(certificate.follow(LOOK))
        files.put(unusable(files, case)[0])
        async with asyncio.timeout(5):
            while not caplog.records:
                assert await served(rig)
        await asyncio.sleep(5 * LOOK)
        assert await served(rig)
        files.put(serving(by=other))
        await eventually(lambda: served(rig, trusting(other)))
        following.cancel()

    with_server("uvloop", test, certificate=certificate)
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert unusable(files, case)[1] in warnings[0]
    assert warnings[0].endswith("The former certificate stays in use")


async def test_what_hinders_a_look_ends_no_following(
    files: Files, certificate: ServingCertificate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no descriptor is left for a moment: who no longer looked would serve on until the certificate's end."""
    caplog.set_level(logging.INFO)
    with monkeypatch.context() as patch:
        patch.setattr("os.memfd_create", _no_descriptor)
        following = asyncio.create_task(certificate.follow(LOOK))
        files.put(serving(by=authority("another")))
        await asyncio.sleep(5 * LOOK)
    async with asyncio.timeout(5):
        while len(caplog.records) < 2:
            await asyncio.sleep(LOOK)
    following.cancel()
    hindered, renewed = (each.getMessage() for each in caplog.records)
    assert "cannot be taken up now: Too many open files. The former certificate stays in use" in hindered
    assert "was renewed" in renewed


def _no_descriptor(name: str) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
