"""Each check of the gateway taken away, one at a time, and the tests that must notice.

A row's lines are in the source exactly so, and once. Where a second check stands behind the first one, as llhttp's
behind our own framing, both are taken away: the row asks whether what they are for is tested at all.
"""

from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway/cooper_gateway/"


@dataclass(frozen=True)
class Mutation:
    """One check that is gone."""

    check: str
    file: str  # below gateway/cooper_gateway/
    edits: tuple[tuple[str, str], ...]  # what is there, and what stands in its place
    tests: tuple[str, ...]  # modules, of which one at least must fail; with "-k" and names to save time

    @property
    def path(self) -> str:
        """Of the file, in the clone."""
        return self.file if self.file.startswith("crds/") else GATEWAY + self.file


_LLHTTP: Final = ("    _validate(section)\n", "    pass\n")

SIGNATURES = "tests/hostile/test_signature_input.py"
SIGNED = "tests/property/test_signatures.py"
BODIES = "tests/hostile/test_payload_input.py"
STREAMS = "tests/property/test_chunk_streams.py"
WIRE = "tests/hostile/test_bodies_over_the_wire.py"
ATTACKS = "tests/hostile/test_gateway_attacks.py"
BOUNDED = "tests/hostile/test_bounded_work.py"
FRAMING = "tests/hostile/test_framing.py"
XML = "tests/hostile/test_xml_input.py"
GRANTS = "tests/hostile/test_where_a_grant_ends.py"
SUMS = "tests/unit/protocol/test_checksums.py"
PATHS = "tests/unit/protocol/test_paths.py"
ROUTES = "tests/unit/protocol/test_routes.py"
PUT = "tests/unit/operations/test_put_object.py"
COPY = "tests/unit/operations/test_copy_object.py"
PARTS = "tests/unit/operations/test_multipart.py"
GET = "tests/unit/operations/test_get_object.py"
DELETES = "tests/unit/operations/test_delete_objects.py"
LISTS = "tests/unit/operations/test_list_objects.py"
LIMITS = "tests/unit/operations/test_bucket_limits.py"
RIGHTS = "tests/unit/access/test_authorize.py"
NETWORKS = "tests/unit/access/test_networks.py"
POLICY = "tests/unit/protocol/test_post_policy.py"
FORM = "tests/unit/protocol/test_post_form.py"
FORMS = "tests/unit/protocol/test_post_policy.py"
CORS = "tests/unit/access/test_cors.py"
PIPELINE = "tests/unit/http/test_pipeline.py"
CONNECTION = "tests/unit/http/test_connection.py"
DIRECT = "tests/unit/http/test_direct.py"
REPEATS = "tests/property/test_repeats.py"
NATIVE = "tests/property/test_native.py"
NATIVE_MEMORY = "tests/hostile/test_native_memory.py"
RENDERING = "tests/unit/http/test_rendering.py"
STORE = "tests/unit/storage/test_store_conformance.py"
REWRAP = "tests/unit/storage/test_rewrap.py"
KEKS = "tests/unit/crypto/test_several_keys.py"
EMBEDDED = "tests/unit/storage/test_embedded_store.py"
ADDRESSING = "tests/unit/http/test_addressing.py"
METERS = "tests/unit/access/test_meters.py"
ATTRIBUTES = "tests/unit/operations/test_object_attributes.py"
MODELS = "tests/integration/test_against_models.py"


def gone(check: str, file: str, condition: str, *tests: str) -> Mutation:
    """A condition that never holds. It is the whole of `if …:`, or of `elif …:`."""
    word = condition.partition(" ")[0]
    return Mutation(check, file, ((condition, f"{word} False:"),), tests)


def other(check: str, file: str, line: str, instead: str, *tests: str) -> Mutation:
    """Something else in its place."""
    return Mutation(check, file, ((line, instead),), tests)


def also_llhttp(check: str, condition: str) -> Mutation:
    """A condition of framing that never holds, without llhttp behind it."""
    return Mutation(check, "http/head.py", ((condition, "if False:"), _LLHTTP), (FRAMING,))


SIGV4 = "protocol/sigv4.py"
CHUNKED = "protocol/chunked.py"
PAYLOAD = "protocol/payload.py"
CHECKSUMS = "protocol/checksums.py"
PATHS_PY = "protocol/paths.py"
XML_PY = "protocol/xml.py"
AUTHORIZE = "access/authorize.py"
COMMITS = "storage/commits.py"
CONNECTION_PY = "http/connection.py"
PIPELINE_PY = "http/pipeline.py"
REPEATS_PY = "http/repeats.py"
NATIVE_C = "native/_native.c"

MUTATIONS: Final = (
    # Signatures of requests.
    other(
        "signature",
        SIGV4,
        "compare_digest(outer.hexdigest().encode(), signature)",
        "compare_digest(signature, signature)",
        SIGNATURES,
    ),
    other(
        "clock behind",
        SIGV4,
        "return -MAX_SKEW <= now - signed_at <= MAX_SKEW",
        "return -MAX_SKEW <= now - signed_at",
        SIGNATURES,
    ),
    other(
        "clock ahead",
        SIGV4,
        "return -MAX_SKEW <= now - signed_at <= MAX_SKEW",
        "return now - signed_at <= MAX_SKEW",
        SIGNATURES,
    ),
    other("15 minutes", SIGV4, "MAX_SKEW: Final = 900", "MAX_SKEW: Final = 901", SIGNATURES),
    other(
        "presigned ahead",
        SIGV4,
        'if signed_at - now > MAX_SKEW:\n        raise S3Error("RequestTimeTooSkewed", "The presigned',
        'if False:\n        raise S3Error("RequestTimeTooSkewed", "The presigned',
        SIGNATURES,
    ),
    gone("presigned, its end", SIGV4, "if now >= signed_at + lifetime:", SIGNATURES),
    other(
        "presigned, for no time",
        SIGV4,
        "if not 1 <= lifetime <= MAX_EXPIRES:",
        "if not lifetime <= MAX_EXPIRES:",
        SIGNATURES,
    ),
    other("presigned, seven days", SIGV4, "if not 1 <= lifetime <= MAX_EXPIRES:", "if not 1 <= lifetime:", SIGNATURES),
    gone("scope's date", SIGV4, "if amz_date[:8] != signer.date:", SIGNATURES),
    other(
        "scope's date, presigned",
        SIGV4,
        "if signed_at is None or amz_date[:8] != scope_date:",
        "if signed_at is None:",
        SIGNATURES,
    ),
    gone("service", SIGV4, 'if signer.service != "s3":', SIGNATURES),
    gone("region", SIGV4, "if region is not None and signer.region != region:", SIGNATURES, PIPELINE),
    gone("host is signed", SIGV4, 'if "host" not in names:', SIGNATURES),
    gone(
        "x-amz-… is signed",
        SIGV4,
        "if name.startswith(_MUST_BE_SIGNED) and name not in names and name not in in_query:",
        SIGNATURES,
    ),
    other("x-cooper-… is signed", SIGV4, '("x-amz-", "x-cooper-")', '("x-amz-",)', ATTACKS),
    other("the path is signed", SIGV4, "path = canonical_path(request.path)", 'path = "/"', SIGNED, SIGNATURES),
    other(
        "the query is signed",
        SIGV4,
        'query = canonical_query(request.query_string) if request.query_string else ""',
        'query = ""',
        SIGNED,
    ),
    other("the method is signed", SIGV4, 'canonical = f"{request.method}\\n', 'canonical = f"GET\\n', SIGNED),
    gone("one way of signing at a time", SIGV4, 'if in_query or "AWSAccessKeyId" in query:', SIGNATURES),
    gone(
        "forms of x-amz-content-sha256",
        SIGV4,
        "if payload != EMPTY_SHA256 and payload not in _NAMED_PAYLOADS and not _SHA256.fullmatch(payload):",
        SIGNATURES,
    ),
    other(
        "no chunked form where presigned",
        SIGV4,
        "if values or payload is None or (payload != UNSIGNED_PAYLOAD and not _SHA256.fullmatch(payload)):",
        "if payload is None:",
        SIGNATURES,
    ),
    other(
        "a key without a secret",
        "http/pipeline.py",
        "if key is None or not key.secret_key:",
        "if key is None:",
        PIPELINE,
    ),
    # Bodies.
    gone("chunk signature", CHUNKED, "if not hmac.compare_digest(expected, signature):", BODIES),
    other("chain of chunk signatures", CHUNKED, "self.previous = expected", "pass", BODIES),
    other(
        "signature of the final chunk",
        CHUNKED,
        "        self._close_chunk()\n        self._state = ChunkedReader._trailer",
        "        self._state = ChunkedReader._trailer",
        WIRE,
    ),
    other(
        "final chunk",
        CHUNKED,
        "if self._state is not ChunkedReader._done or self._buffer:",
        "if self._state is None:",
        BODIES,
    ),
    other(
        "signature of trailers",
        CHUNKED,
        'self._signer.check_trailer(canonical.encode(), signature or "")',
        "pass",
        BODIES,
    ),
    gone("more than the decoded length", CHUNKED, "if size > self._remaining:", BODIES),
    gone("less than the decoded length", CHUNKED, "if self._remaining:", BODIES),
    other(
        "nothing after the end",
        CHUNKED,
        'raise S3Error("InvalidRequest", "There are bytes after the final chunk of the body.")',
        "return",
        BODIES,
    ),
    gone("data longer than its chunk", CHUNKED, "if line:", BODIES, STREAMS),
    gone("a trailer twice", CHUNKED, "if name in self.trailers:", BODIES),
    gone("length of a line", CHUNKED, "if length > MAX_LINE:", BODIES),
    gone("length of trailers", CHUNKED, "if self._trailer_bytes > MAX_TRAILERS:", BODIES),
    gone(
        "chunks of a byte",
        CHUNKED,
        "if (self._chunks - _SMALL_CHUNKS) * _LEAST_AVERAGE > self._size - self._remaining:",
        BOUNDED,
    ),
    gone(
        "content-sha256", PAYLOAD, "if self._digest is not None and self._digest.hexdigest() != self._expected:", BODIES
    ),
    gone("more than Content-Length", PAYLOAD, "if self.size is not None and self._received > self.size:", BODIES),
    gone("less than Content-Length", PAYLOAD, "if self.size is not None and self._received != self.size:", BODIES),
    gone("announced trailers", PAYLOAD, "if set(self.trailers) != set(self._announced):", BODIES),
    gone("a decoded length that is none", PAYLOAD, "if not _LENGTH.fullmatch(text):", BODIES),
    other(
        "no chunked form for strangers",
        PAYLOAD,
        "if claim is None or signing_key is None or claim.presigned:",
        "if claim is not None and claim.presigned:",
        BODIES,
    ),
    # Checksums.
    gone(
        "Content-MD5",
        CHECKSUMS,
        "if self._expected_md5 is not None and self._expected_md5 != self._md5.digest():",
        SUMS,
        PUT,
    ),
    gone(
        "a declared checksum",
        CHECKSUMS,
        "if sent is not None and _decode_value(declared.algorithm, sent, declared.algorithm.header) != self._digest():",
        SUMS,
        PUT,
    ),
    other(
        "CRC32",
        CHECKSUMS,
        'Algorithm("CRC32", 4, _crc(_isal_crc32, 4)',
        'Algorithm("CRC32", 4, _crc(crt.crc32c, 4)',
        SUMS,
    ),
    other("CRC32C", CHECKSUMS, "_crc(crt.crc32c, 4)", "_crc(_isal_crc32, 4)", SUMS),
    other("CRC64NVME", CHECKSUMS, "_crc(crt.crc64nvme, 8)", "_crc(_isal_crc32, 8)", SUMS),
    other("SHA1", CHECKSUMS, '_sha("sha1")', '_sha("blake2s")', SUMS),
    other("SHA256", CHECKSUMS, '_sha("sha256")', '_sha("sha3_256")', SUMS),
    gone("a trailer that must come", CHECKSUMS, "if declared.in_trailer and sent is None:", SUMS),
    gone("one checksum at most", CHECKSUMS, "if len(carried) + len(in_trailer) > 1:", SUMS),
    gone("trailers are checksums", CHECKSUMS, "if name not in _BY_HEADER:", SUMS, BODIES),
    other("an MD5 has 16 bytes", CHECKSUMS, "if digest is None or len(digest) != 16:", "if digest is None:", SUMS),
    # Paths and queries.
    gone("escapes of the path", PATHS_PY, 'if b"%" in path and _BAD_ESCAPE.search(path):', PATHS),
    gone("escapes of the query", PATHS_PY, 'if b"%" in raw and _BAD_ESCAPE.search(raw):', PATHS),
    gone("escapes of a copy's source", PATHS_PY, "if _BAD_ESCAPE.search(raw):", PATHS),
    gone("NUL in a name", PATHS_PY, 'if b"\\0" in name:', PATHS),
    gone("NUL in the query", PATHS_PY, 'if "\\0" in text:', PATHS),
    gone("length of a name", PATHS_PY, "if len(name) > MAX_OBJECT_NAME_BYTES:", PATHS),
    gone("UTF-8 of a name", PATHS_PY, "if not name.isascii():", PATHS),
    gone("a name of a bucket", PATHS_PY, "if problem is not None:", PATHS),
    gone("a parameter twice", PATHS_PY, "if name in query:", PATHS),
    gone("a header's name out of the query", PATHS_PY, "if not _TOKEN.fullmatch(parameter):", PATHS),
    gone("a header there and in the query", PATHS_PY, "if name in request.headers:", PATHS),
    gone("line ends out of the query", PATHS_PY, 'if "\\r" in value or "\\n" in value:', PATHS),
    gone("headers out of the query, how many", PATHS_PY, "if restored > _MAX_HOISTED:", BOUNDED),
    gone("headers that promise too much", "protocol/routes.py", "if headers.get(name):", ROUTES),
    # Who may do what.
    other(
        "prefix of a listing",
        "protocol/routes.py",
        'return request.query.get("prefix", "").encode()',
        "return None",
        GRANTS,
    ),
    other(
        "prefix of a grant",
        AUTHORIZE,
        "return place is None or not grant.prefixes or place.startswith(tuple(map(str.encode, grant.prefixes)))",
        "return True",
        RIGHTS,
    ),
    gone("revoked", AUTHORIZE, "if spent(key, now):", RIGHTS),
    other("notAfter", "crds/cooper_crds/records.py", "key.not_after <= now)", "key.not_after < now - 1)", RIGHTS),
    gone(
        "networks",
        AUTHORIZE,
        "if code is None and key.networks and not within(principal.address, key.networks):",
        NETWORKS,
    ),
    gone(
        "whom to believe of addresses", "access/networks.py", "if not trusted or not within(peer, trusted):", NETWORKS
    ),
    other(
        "data of a grant",
        AUTHORIZE,
        "if grant.bucket == bucket_name and (bucket is None or grant.data_id == bucket.data_id)",
        "if grant.bucket == bucket_name",
        RIGHTS,
    ),
    other("retained", AUTHORIZE, "if bucket is None or bucket.retained:", "if bucket is None:", RIGHTS),
    gone("apiAccess", AUTHORIZE, 'if bucket.api_access == "Revoked":', RIGHTS),
    other(
        "strangers only read",
        AUTHORIZE,
        "if action == GET_OBJECT and bucket is not None and bucket.visibility",
        "if bucket is not None and bucket.visibility",
        RIGHTS,
    ),
    other(
        "strangers only read what is public",
        AUTHORIZE,
        'bucket is not None and bucket.visibility == "Public" and not bucket.retained',
        "bucket is not None and not bucket.retained",
        RIGHTS,
    ),
    other(
        "told of a bucket that is asked for",
        "operations/create_bucket.py",
        "return bucket is not None and any(grant.is_on(bucket) for grant in grants)",
        "return bucket is not None",
        PIPELINE,
    ),
    other(
        "told of a retained bucket that is asked for",
        "operations/create_bucket.py",
        "None if call.bucket is None or call.bucket.retained else call.bucket",
        "call.bucket",
        PIPELINE,
    ),
    other(
        "only the operator operates",
        AUTHORIZE,
        "if not key.system or action != OPERATE:",
        "if action != OPERATE:",
        RIGHTS,
    ),
    other(
        "absence is told to who may list",
        AUTHORIZE,
        "    if not isinstance(principal, KeyHolder):\n        return False\n",
        "    return True\n",
        RIGHTS,
    ),
    gone(
        "age of records", "access/freshness.py", "if now - directory.verified_at() > region.max_record_age:", PIPELINE
    ),
    other(
        "right on a copy's source",
        "operations/call.py",
        "code = authorize(self.principal, action, bucket_name, record, self.now, name)",
        "code = None",
        COPY,
    ),
    other(
        "right on each name of a batch",
        "operations/delete_objects.py",
        "for name in request.names if (code := call.refusal(name)) is not None}",
        "for name in request.names if (code := None) is not None}",
        DELETES,
    ),
    gone(
        "overrides for signed requests",
        "operations/get_object.py",
        "if headers and isinstance(call.principal, Anonymous):",
        GET,
    ),
    gone("owner that is expected", "http/pipeline.py", "if expected is not None and expected != OWNER_ID:", PIPELINE),
    gone(
        "attributes are for keys",
        "operations/object_attributes.py",
        "if isinstance(call.principal, Anonymous):",
        ATTRIBUTES,
    ),
    gone(
        "no signatures at a bucket's own domain",
        "http/addressing.py",
        "if bucket is not None and _is_signed(request):",
        ADDRESSING,
    ),
    other(
        "data of a domain",
        "http/addressing.py",
        "if bucket is not None and bucket.data_id == domain.data_id else None",
        "if bucket is not None else None",
        ADDRESSING,
    ),
    other(
        "the Region's names come before claims",
        "http/addressing.py",
        "if named is not None:",
        "if named:",
        ADDRESSING,
    ),
    other(
        "names below the Region's domain that no bucket can have",
        "http/addressing.py",
        'return check_bucket(name.removesuffix(f".{domain}"))',
        'return name.removesuffix(f".{domain}")',
        ADDRESSING,
    ),
    # What a key may spend.
    gone("a wait", "http/spending.py", "if wait:", PIPELINE),
    gone(
        "who makes the mark of a probe",
        "http/spending.py",
        'if maker is None or not maker.system or maker.state != "Active":',
        PIPELINE,
    ),
    other(
        "the mark of a probe",
        "http/spending.py",
        'return is_probe_mark(value, maker, key_id, request.headers.get("x-amz-date", ""))',
        "return True",
        PIPELINE,
    ),
    other(
        "what is announced",
        "http/spending.py",
        "more, self._announced = moved - self._announced, moved",
        "more, self._announced = moved, moved",
        PIPELINE,
    ),
    gone("requests over the limit", "access/meters.py", "if over > _SLACK:", METERS),
    other("bytes over the limit", "access/meters.py", "if wait <= _SLACK:", "if True:", METERS),
    other(
        "what has leaked is not to be paid again",
        "access/meters.py",
        "return spent, max(origin, now - spent / rate)",
        "return spent, origin",
        METERS,
    ),
    # What is checked again.
    gone("a commit's refusal", "storage/batch.py", "if code is not None:", STORE),
    *(
        other(
            f"right in the commit: {what}",
            COMMITS,
            f'"""{what}"""\n    batch.check_guard(request.guard, request.data_id, {names})',
            f'"""{what}"""',
            STORE,
        )
        for what, names in (
            ("Make or overwrite an object.", "request.name"),
            ("Exchange an object's record; its bytes stay.", "request.name"),
            (
                "Delete the names that exist. Conditions hold for each of them, or nothing is deleted.",
                "*request.names",
            ),
            ("Begin an upload.", "request.name"),
            ("Store a part, or replace the one of its number.", "request.name"),
            (
                "Make an object of parts. Their bytes stay where they are; parts that it does not name are dropped.",
                "request.name",
            ),
            ("Drop an upload and its parts.", "request.name"),
        )
    ),
    other(
        "right on the source in a copy's commit",
        "operations/copy_source.py",
        "guard = msgspec.structs.replace(call.guard, source=source.data_id, source_name=name)",
        "guard = call.guard",
        COPY,
    ),
    gone("the recheck of strangers", AUTHORIZE, "if not access_key_id:", RIGHTS),
    gone("the recheck's data", AUTHORIZE, "if bucket is not None and _data_bytes(bucket.data_id) != data_id:", RIGHTS),
    other(
        "the recheck of each object",
        AUTHORIZE,
        "code for place in places if (code := authorize(",
        "code for place in places[:1] if (code := authorize(",
        RIGHTS,
    ),
    gone(
        "a stream is allowed every second",
        CONNECTION_PY,
        "if exchange is not None and exchange.streaming and exchange.withdrawn() is not None:",
        CONNECTION,
    ),
    other(
        "a body is allowed every second", CONNECTION_PY, "error = exchange.withdrawn()\n", "error = None\n", CONNECTION
    ),
    gone(
        "another bucket of that name",
        "http/pipeline.py",
        "if not waits and bucket is not None and call.bucket is not None and bucket.data_id != call.bucket.data_id:",
        PIPELINE,
    ),
    # Limits.
    gone("quota", COMMITS, "if request.guard.quota.forbids(row.objects, held, old is None, more):", STORE),
    gone(
        "quota of parts",
        COMMITS,
        "if quota.forbids(row.objects, row.size - replaced + row.parts_size, 0, more):",
        STORE,
    ),
    gone(
        "quota, before the body",
        "operations/limits.py",
        "if replaced is None or quota.forbids(held.objects, in_use, 0, size - replaced):",
        LIMITS,
    ),
    gone("size of metadata", "operations/attributes.py", "if size > max_metadata_size:", PUT, PIPELINE),
    gone("control characters of metadata", "operations/attributes.py", "if _CONTROL.search(value):", GET, ATTACKS),
    other(
        "size of an object, as declared",
        "operations/limits.py",
        'raise S3Error("MissingContentLength")\n    if size > call.max_object_size:',
        'raise S3Error("MissingContentLength")\n    if False:',
        PUT,
    ),
    gone(
        "size of a form's file",
        "protocol/post_form.py",
        "if self._most is not None and self._received > self._most:",
        FORM,
    ),
    gone("size of an object, as it comes", "operations/receive.py", "if total > limit:", PUT),
    gone("size of an object, of parts", "operations/complete_upload.py", "if size > call.max_object_size:", PARTS),
    gone("size of an object, copied", "operations/copy_object.py", "if source.info.size > call.max_object_size:", COPY),
    gone("size of a part, copied", "operations/multipart.py", "if end - start > call.max_object_size:", PARTS),
    gone(
        "content type",
        "operations/limits.py",
        "if not _TYPE.fullmatch(named) or not any(fnmatchcase(named, pattern) for pattern in patterns):",
        LIMITS,
    ),
    gone(
        "KMS", "operations/attributes.py", 'if headers.get("x-amz-server-side-encryption", "AES256") != "AES256":', PUT
    ),
    gone("repeats, records", PIPELINE_PY, "if directory.revision != known.revision:", REPEATS),
    other("repeats, rates", PIPELINE_PY, "claim is not None and region.rates is None:", "claim is not None:", REPEATS),
    other(
        "repeats, freshness",
        PIPELINE_PY,
        "= fresh_region(directory, now)\n    key",
        "= directory.region()\n    key",
        REPEATS,
    ),
    other(
        "repeats, signature",
        PIPELINE_PY,
        "if not kind.pattern.holds(repeat.path, repeat.signed, repeat.amz_date, signature, key, now):",
        "if not signature or not key:",
        REPEATS,
    ),
    other(
        "repeats, rights",
        PIPELINE_PY,
        "(bucket, region) if code is None else None",
        "bucket, region",
        REPEATS,
    ),
    other("plain reads, CORS", PIPELINE_PY, "if held is None or held[0].cors:", "if held is None:", REPEATS),
    other("plain reads, version", REPEATS_PY, "head.minor == 1 and not (", "not (", REPEATS),
    other("plain reads, length", REPEATS_PY, "not (head.length or head.chunked)", "not head.chunked", REPEATS),
    other("plain reads, chunks", REPEATS_PY, "not (head.length or head.chunked)", "not head.length", REPEATS),
    other(
        "plain reads, what is asked for",
        "operations/get_object.py",
        "operation in _READS and _LOOKED_AT.isdisjoint(request.headers)",
        "operation in _READS",
        REPEATS,
    ),
    other("plain reads, stopping", CONNECTION_PY, "kind.plain and not self._context.stopping", "kind.plain", REPEATS),
    other("plain reads, split answers", "http/plain.py", "except UnsafeHeader:", "except ZeroDivisionError:", REPEATS),
    gone("plain reads, lines that are kept", "http/plain.py", "if len(lines) > _LONGEST_KEPT:", REPEATS),
    other("repeats, heads without a blank", REPEATS_PY, "if kind is None or end < 0:", "if kind is None:", REPEATS),
    other("repeats, long heads", REPEATS_PY, "if kind is None or kind.size > _LONGEST:", "if kind is None:", REPEATS),
    other("requests before a half-close", CONNECTION_PY, "return (waits or self._ex", "return (self._ex", CONNECTION),
    other(
        "repeats, limits of a body",
        PIPELINE_PY,
        "                check_declared(call)\n            ex",
        "            ex",
        REPEATS,
    ),
    other("repeats, what is fixed", REPEATS_PY, "if parts[::2] != self._fixed or not", "if not", REPEATS),
    other("repeats, method", REPEATS_PY, " or not section.startswith(self._method)", "", REPEATS),
    other("repeats, path", REPEATS_PY, " or not PLAIN_PATH.fullmatch(path):", ":", REPEATS),
    other("repeats, public path", REPEATS_PY, " or bucket == _PUBLIC:", ":", REPEATS),
    gone("repeats, forms of values", REPEATS_PY, "if not fits(new[index]):", REPEATS),
    other(
        "repeats, date",
        SIGV4,
        "date[:8] != self.claim.date or not _in_time(signed_at, now):",
        "date[:8] != self.claim.date:",
        REPEATS,
    ),
    gone("rates", "http/pipeline.py", "if region.rates is not None and isinstance(principal, KeyHolder):", PIPELINE),
    gone("rates, of a body", "http/pipeline.py", "if call.spending is not None and size:", PIPELINE),
    # Uploads by form.
    gone("a policy's end", "protocol/post_policy.py", "if now >= policy.expires:", POLICY),
    gone(
        "a policy's conditions",
        "protocol/post_policy.py",
        'if not _holds(condition, values.get(condition.field, "")):',
        POLICY,
    ),
    gone("fields that no condition names", "protocol/post_policy.py", "if extra:", POLICY),
    gone("a policy's bucket", "protocol/post_policy.py", 'if fields.get("bucket", bucket) != bucket:', POLICY),
    gone("the least size of a form's file", "protocol/post_form.py", "if self._received < self._least:", FORM),
    gone("a form's end", "protocol/post_form.py", "if self._after is None:", FORM),
    gone("a form's first boundary", "protocol/post_form.py", "if before:", FORM),
    gone("a form's field twice", "protocol/post_form.py", "if self._name in self._fields:", FORM),
    gone("how many fields", "protocol/post_form.py", "if len(self._fields) == MAX_FIELDS:", FORM),
    gone("how much comes before the file", "protocol/post_form.py", "if len(self._buffer) >= most:", FORM),
    gone("how much follows the file", "protocol/post_form.py", "if len(self._after) + len(data) > MAX_FORM:", FORM),
    other(
        "a form ahead",
        SIGV4,
        'if signed_at - now > MAX_SKEW:\n        raise S3Error("RequestTimeTooSkewed", "The form',
        'if False:\n        raise S3Error("RequestTimeTooSkewed", "The form',
        FORMS,
    ),
    gone("a form, seven days", SIGV4, "if now >= signed_at + MAX_EXPIRES:", FORMS),
    # Conditions.
    gone("conditions in the commit", "storage/batch.py", "if holds is not expected:", STORE, MODELS),
    other(
        "conditions on a delete",
        COMMITS,
        "batch.check_conditions(request.data_id, name, value, request.conditions)",
        "pass",
        STORE,
    ),
    gone(
        "right to read what a delete compares",
        "operations/write_conditions.py",
        'if conditions.if_match not in (None, "*"):',
        DELETES,
    ),
    gone(
        "conditions on a copy's source",
        "operations/copy_source.py",
        "if evaluate_conditions(headers, info.etag, info.modified, _PREFIX) is not None:",
        COPY,
    ),
    other(
        "a part that was read is the one that is named",
        COMMITS,
        "if any(number not in parts or parts[number].segment_id != segment for number, segment in named.items()):",
        "if False:",
        EMBEDDED,
    ),
    # Framing.
    also_llhttp("a length and chunks", "if declared is not None:"),
    also_llhttp("two hosts", "if name in _SINGLE or name.startswith(_SINGLE_PREFIXES):"),
    also_llhttp("bare line feeds", 'if controls != b"\\r\\n" * lines:'),
    also_llhttp("folded headers", "if not _TOKEN.fullmatch(spelled):"),
    also_llhttp("absolute form", 'if target[:1] != "/" or method == "CONNECT":'),
    also_llhttp("a host that is none", "if not _HOST.fullmatch(value):"),
    also_llhttp("no host", "if minor == 1:"),
    also_llhttp("other codings", 'if minor == 0 or coding.lower() != "chunked":'),
    also_llhttp("a length that is none", "if not (declared.isascii() and declared.isdigit() and len(declared) <= 18):"),
    also_llhttp("bytes of the target", "if raw_target.translate(None, _TARGET_BYTES):"),
    also_llhttp("other versions", "if minor is None:"),
    gone("a section without end", "http/head.py", "if len(data) - start >= limits.header_bytes:", FRAMING),
    gone("how many headers", "http/head.py", "if len(lines) - 1 > limits.header_count:", FRAMING),
    gone(
        "a chunk's size",
        "http/chunked.py",
        'if not _SIZE.fullmatch(size) or b"\\n" in extension or b"\\r" in extension:',
        FRAMING,
    ),
    gone("a chunk longer than its size", "http/chunked.py", "if line:", FRAMING),
    gone("a chunk's line without end", "http/chunked.py", "if len(data) - position > _MAX_LINE:", BOUNDED),
    gone(
        "trailers",
        "http/chunked.py",
        'if self._trailer_bytes > _MAX_TRAILERS or line[:1] in b" \\t:" or b":" not in line:',
        FRAMING,
    ),
    gone(
        "line ends in an answer's headers",
        "http/rendering.py",
        'if text.count("\\n") != expected or text.count("\\r") != expected or "\\0" in text:',
        RENDERING,
    ),
    # Time and number.
    other(
        "time for headers",
        CONNECTION_PY,
        "            return\n        if self._input:\n            self._refuse(",
        "            pass\n        return\n        if self._input:\n            self._refuse(",
        CONNECTION,
    ),
    gone(
        "time for a body",
        CONNECTION_PY,
        "elif self._receiving.stalled(raw.received, now, self._limits.body_progress, self._limits.body_seconds):",
        CONNECTION,
    ),
    gone(
        "time for a reader",
        CONNECTION_PY,
        "elif self._sending.stalled(self._taken(), now, limits.least_progress, limits.write_seconds):",
        CONNECTION,
    ),
    other(
        "how much of a body refused midway is read",
        CONNECTION_PY,
        "        self._read_ourselves()\n        self._phase = Phase.LINGER\n",
        "        self._phase = Phase.LINGER\n",
        DIRECT,
    ),
    other("what a small part of a body holds", CONNECTION_PY, "raw.received >= PIECE and ", "", DIRECT),
    other("where a large body ends", "http/direct.py", "self._raw.room(self._left)", "self._raw.room(1 << 30)", DIRECT),
    gone("how many connections", CONNECTION_PY, "elif len(connections) > self._limits.connections:", CONNECTION),
    gone(
        "how much waits",
        CONNECTION_PY,
        "if self._phase in (Phase.HEAD, Phase.ANSWER) and len(self._input) > self._limits.pipelined_bytes:",
        CONNECTION,
    ),
    gone(
        "how much of a refused body is read",
        CONNECTION_PY,
        "if self._lingered > self._limits.linger_bytes:",
        CONNECTION,
    ),
    gone("how many readers stall", "http/context.py", "if len(self._stalled) > self.limits.most_stalled:", CONNECTION),
    # XML.
    other("DOCTYPE", XML_PY, "parser.StartDoctypeDeclHandler = _refuse", "pass", XML),
    other("processing instructions", XML_PY, "parser.ProcessingInstructionHandler = _refuse", "pass", XML),
    other("unexpected elements", XML_PY, "or name not in self._expected[depth - 1]", "or False", XML),
    other("depth", XML_PY, "depth > len(self._expected)\n            or", "depth > 99\n            or", XML),
    other("1,000 deletes", XML_PY, "MAX_DELETES: Final = 1000", "MAX_DELETES: Final = 1001", XML),
    other("10,000 parts", XML_PY, "MAX_PARTS: Final = 10_000", "MAX_PARTS: Final = 10_001", XML),
    gone("order of parts", XML_PY, "if before.number >= after.number:", XML),
    gone("size of a document", XML_PY, "if len(body) > MAX_DOCUMENT:", XML),
    gone("length of a tag", XML_PY, "if _LONG_TAG.search(body):", XML),
    gone("attributes", XML_PY, "if len(attributes) > MAX_ATTRIBUTES:", XML),
    gone("an element twice", XML_PY, "if name in leaves:", XML),
    gone("text between elements", XML_PY, 'if "".join(self._text).strip(" \\t\\r\\n"):', XML),
    gone("a condition of a batch delete", XML_PY, "if conditions:", XML),
    other(
        "ETag of a part",
        "storage/multipart.py",
        "if header is None or record is None or record.etag != etag:",
        "if header is None or record is None:",
        STORE,
    ),
    gone(
        "size of the whole",
        "operations/complete_upload.py",
        "if declared_size is not None and declared_size != str(size):",
        PARTS,
    ),
    gone(
        "checksum of the whole",
        "operations/complete_upload.py",
        'if declared[1] not in (checksum.value, checksum.value.partition("-")[0]):',
        PARTS,
    ),
    other(
        "a token that was given out",
        "operations/paging.py",
        "if raw[:1] != _TOKEN_VERSION or digest != _digest(position):",
        "if raw[:1] != _TOKEN_VERSION:",
        LISTS,
    ),
    # The change of the key-encryption key.
    gone("the key that is asked for", "storage/commits.py", "if newest != request.kek:", REWRAP),
    gone("that a key is noted before it wraps", "storage/commits.py", "if batch.note_key():", REWRAP),
    gone("that others are dropped last", "storage/commits.py", "if request.last:", REWRAP),
    other(
        "keys without a name yet",
        "storage/commits.py",
        "left is not None or batch.new_keys",
        "left is not None",
        REWRAP,
    ),
    other(
        "a backup under way",
        "storage/committer.py",
        "wire.Rewrap) and self._housekeeping.holding",
        "wire.Hold)",
        REWRAP,
    ),
    other("that a new bucket's key is noted", "storage/batch.py", "        self.note_key()\n", "", REWRAP),
    gone("a key that a start takes up", "storage/index.py", "if sealer.fingerprint not in noted.split():", REWRAP),
    other(
        "a draft by another key",
        "storage/bucket_keys.py",
        "if self._sealer.wrapped_by(path.read_bytes()) == self._sealer.fingerprint:",
        "if True:",
        REWRAP,
    ),
    other(
        "a wrap that was overwritten while it was read",
        "storage/bucket_keys.py",
        "if content == before:",
        "if True:",
        REWRAP,
    ),
    gone("two names of one file", "shredding.py", "if _is_same(path, beside):", REWRAP),
    gone(
        "a key of another store",
        "crypto/keyring.py",
        "if self.fingerprint not in (*file.fingerprints, *file.removed):",
        KEKS,
    ),
    gone("the newest key", "crypto/key_file.py", "if fingerprint == self.fingerprints[0]:", KEKS),
    other("one at a time", "crypto/key_file.py", "        fcntl.flock(descriptor, fcntl.LOCK_EX)\n", "", KEKS),
    # CORS.
    gone(
        "an origin that is sent back",
        "access/cors.py",
        "if len(origin) > _LONGEST_ORIGIN or not _ORIGIN.fullmatch(origin):",
        CORS,
    ),
    other(
        "names of headers that are sent back",
        "access/cors.py",
        "return names if len(names) <= MAX_ASKED and all(map(_TOKEN.fullmatch, names)) else None",
        "return names",
        CORS,
    ),
    gone("methods of a rule", "access/cors.py", "if method not in rule.methods:", CORS),
    # The native module, which pure Python's checks have no part in.
    other(
        "native, the tag",
        NATIVE_C,
        "EVP_CipherFinal_ex(cipher, out + size - TAG, &written) > 0",
        "EVP_CipherFinal_ex(cipher, out + size - TAG, &written) >= 0",
        NATIVE,
    ),
    other("native, the context", NATIVE_C, "cipher_bind(in[1].buf, in[1].len)\n", "1\n", NATIVE),
    other("native, the name", NATIVE_C, "cipher_bind(name_bytes, name_size)", "1", NATIVE),
    other(
        "native, the signature",
        NATIVE_C,
        "CRYPTO_memcmp(text, given->buf, sizeof text) == 0",
        "given->buf != NULL",
        NATIVE,
    ),
    other("native, the signature's length", NATIVE_C, "given->len == sizeof text && ", "", NATIVE_MEMORY),
    other("native, too short", NATIVE_C, "    return size >= SALT + TAG;\n", "    return true;\n", NATIVE_MEMORY),
    other(
        "native, what is in clear", NATIVE_C, "if (clear < 0 || clear > INT_MAX)", "if (clear > INT_MAX)", NATIVE_MEMORY
    ),
    other(
        "native, a nonce", NATIVE_C, "nonce.obj != NULL && nonce.len != NONCE", "nonce.obj == NULL && nonce.len", NATIVE
    ),
    other("native, a long key", NATIVE_C, "if (key.len > BLOCK)", "if (key.len < 0)", NATIVE_MEMORY),
    other("native, what is borrowed", NATIVE_C, "        PyBuffer_Release(&buffers[count]);\n", "        ;\n", NATIVE),
)
