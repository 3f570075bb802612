"""Request smuggling and malformed framing, with raw sockets: an S3 error, the connection closed, the process lives."""

import pytest

from support.http_rig import LOOPS, Rig, with_server

CLOSE = b"Connection: close\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n"
PUT = b"PUT /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
MANY = b"".join(b"A%d: b\r\n" % number for number in range(98))

#: name -> bytes on the wire that end in 400 InvalidRequest, but for those in OTHER_ANSWERS.
REFUSED = {
    "length and transfer-encoding": PUT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding and length": PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two equal lengths": PUT + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": PUT + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "list of lengths": PUT + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": PUT + b"Content-Length: +5\r\n\r\nhello",
    "negative length": PUT + b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": PUT + b"Content-Length: 0x5\r\n\r\nhello",
    "empty length": PUT + b"Content-Length:\r\n\r\nhello",
    "huge length": PUT + b"Content-Length: 18446744073709551621\r\n\r\n",
    "length too large to be meant": PUT + b"Content-Length: 9999999999999999999\r\n\r\n",
    "length of other digits": PUT + b"Content-Length: \xb2\r\n\r\n",
    "other transfer-encoding": PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "twice chunked": PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "obscured transfer-encoding": PUT + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "space before the colon": PUT + b"Transfer-Encoding : chunked\r\n\r\n",
    "chunked in HTTP/1.0": b"PUT /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": PUT + b"Transfer-Encoding: identity\r\n\r\n",
    "bare line feeds": b"GET /hello HTTP/1.1\nHost: x\n\n",
    "one bare line feed": GET + b"A: b\nC: d\r\n\r\n",
    "a bare carriage return": GET + b"A: b\rC: d\r\n\r\n",
    "obsolete folding": GET + b"A: b\r\n c\r\n\r\n",
    "folding by tab": GET + b"A: b\r\n\tc\r\n\r\n",
    "NUL in a value": GET + b"A: b\0c\r\n\r\n",
    "NUL in the target": b"GET /hel\0lo HTTP/1.1\r\nHost: x\r\n\r\n",
    "control character in a value": GET + b"A: b\x01\r\n\r\n",
    "no host": b"GET /hello HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "two equal hosts": GET + b"host: x\r\n\r\n",
    "a host with a path": b"GET /hello HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "a host with a list": b"GET /hello HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "absolute form": b"GET http://x/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority form": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT on a path": b"CONNECT /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw byte in the target": b"GET /hell\xc3\xb6 HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment in the target": b"GET /hello#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /hel lo HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the request line": b"GET\t/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /hello\r\n\r\n",
    "HTTP/1.2": b"GET /hello HTTP/1.2\r\nHost: x\r\n\r\n",
    "lower-case version": b"GET /hello http/1.1\r\nHost: x\r\n\r\n",
    "lower-case method": b"get /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"SMUGGLE /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a line without a colon": GET + b"nothing\r\n\r\n",
    "an empty name": GET + b": y\r\n\r\n",
    "non-ASCII name": GET + b"A\xe4: y\r\n\r\n",
    "two authorizations": GET + b"Authorization: a\r\nAuthorization: b\r\n\r\n",
    "two x-amz-date": GET + b"X-Amz-Date: a\r\nx-amz-date: a\r\n\r\n",
    "two ranges": GET + b"Range: a\r\nRange: b\r\n\r\n",
    "two conditions": GET + b"If-Match: a\r\nIf-Match: b\r\n\r\n",
    "large section": GET + b"A: " + b"a" * 17000 + b"\r\n\r\n",
    "endless section": GET + b"A: " + b"a" * 17000,
    "101 headers": GET + MANY + b"B: b\r\nC: d\r\n\r\n",
    "chunk size of no number": CHUNKED + b"hello\r\n",
    "chunk size with a prefix": CHUNKED + b"0x5\r\nhello\r\n",
    "negative chunk size": CHUNKED + b"-5\r\nhello\r\n",
    "huge chunk size": CHUNKED + b"10000000000000005\r\nhello\r\n",
    "bare line feed after a chunk size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare line feed in an extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "endless chunk line": CHUNKED + b"5;" + b"a" * 5000,
    "folded trailer": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"A: bbbbbbbb\r\n" * 1000,
}

OTHER_ANSWERS = {
    "raw byte in the target": (400, "InvalidURI"),
    "fragment in the target": (400, "InvalidURI"),
    "large section": (431, "RequestHeaderSectionTooLarge"),
    "endless section": (431, "RequestHeaderSectionTooLarge"),
    "101 headers": (431, "RequestHeaderSectionTooLarge"),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_framing_is_refused_and_the_connection_closed(case: str, loop: str) -> None:
    sent = REFUSED[case]
    status, code = OTHER_ANSWERS.get(case, (400, "InvalidRequest"))

    async def test(rig: Rig) -> None:
        # What follows on the connection would be the smuggled request.
        answer = await rig.send(sent + b"GET /hello?smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert f"<Code>{code}</Code>".encode() in answer
        assert CLOSE in answer
        assert answer.count(b"\r\nServer: Cooper\r\n") == 1, "a second answer on a connection out of step"
        assert "GET /hello" not in rig.pipeline.events
        assert await rig.still_serves()

    with_server(loop, test)


ACCEPTED = {
    "one empty line before": b"\r\n" + GET + CLOSE + b"\r\n",
    "100 headers": GET + CLOSE + MANY + b"\r\n",
    "repeated harmless header": GET + CLOSE + b"Accept: a\r\nAccept: b\r\n\r\n",
    "upgrade is ignored": GET + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    "IPv6 host": b"GET /hello HTTP/1.1\r\nHost: [::1]:9000\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /hello HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("case", ACCEPTED)
def test_unusual_but_clear_requests_are_served(case: str, loop: str) -> None:
    async def test(rig: Rig) -> None:
        answer = await rig.send(ACCEPTED[case])
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nhello")

    with_server(loop, test)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_same_section_byte_by_byte_is_understood_alike(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        for byte in GET + CLOSE + b"\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await reader.read(-1)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()

    with_server(loop, test)
