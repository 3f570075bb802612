"""The one way from a framed request to an answer: every operation and every form of authentication goes through here.

    host and target → records fresh enough → route → signature → key → authorise → limits from the headers
        → what the key may spend → handler                  └ of a form its policy

The signature is verified before anything about the key's or the bucket's state is told, and nobody but its holder
spends what a key may. The limits are checked before a byte of the body is asked for. What is raised on the way becomes
an S3 error in `explain`.

An upload by form is admitted in two steps, since who signed it and for what its body says: the head lets its fields be
read, which are bounded, and with these in the place of headers it is decided as any other request is.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from cooper_crds.records import (
    ACCESS_GENERATION,
    RECORD_DIGEST,
    BucketRecord,
    CorsRule,
    KeyRecord,
    RegionRecord,
    record_digest,
)
from cooper_gateway.access import cors
from cooper_gateway.access.authorize import (
    DENIED,
    ELSEWHERE,
    REVOKED,
    authorize,
    denial,
    may_know_absence,
    may_know_vacancy,
    unknown_absence,
)
from cooper_gateway.access.directory import Directory
from cooper_gateway.access.freshness import RecordsNotFresh, fresh_region
from cooper_gateway.access.networks import origin
from cooper_gateway.access.principals import ANONYMOUS, KeyHolder, Principal
from cooper_gateway.http.addressing import locate
from cooper_gateway.http.body import EMPTY_BODY, RawBody, VerifiedBody, read_form
from cooper_gateway.http.errors import to_s3_error
from cooper_gateway.http.finished import Finished
from cooper_gateway.http.repeats import Kind, Known, Repeat, may_repeat
from cooper_gateway.http.signing_keys import SigningKeys
from cooper_gateway.http.spending import Tolls
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.get_object import ENCRYPTION, OURS, read_plainly
from cooper_gateway.operations.limits import check_declared
from cooper_gateway.operations.markup import OWNER_ID
from cooper_gateway.operations.registry import HANDLERS, NOW
from cooper_gateway.operations.store_codes import is_fault
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Body, Request, Response
from cooper_gateway.protocol.paths import check_name
from cooper_gateway.protocol.payload import PayloadDecoder, content_length, payload_decoder
from cooper_gateway.protocol.post_form import (
    Form,
    FormFile,
    as_headers,
    form_boundary,
    is_form,
    least_size,
    missing,
    too_long,
)
from cooper_gateway.protocol.post_policy import Sizes, check_policy, read_policy
from cooper_gateway.protocol.routes import Route, match, no_route, place, refuse_promises
from cooper_gateway.protocol.sigv4 import Claim, form_claim, parse_claim
from cooper_gateway.storage.port import ObjectInfo, Store

log = logging.getLogger(__name__)

#: Told of each request that is over.
Observer = Callable[[Finished], None]

_EXPECTED_OWNERS: Final = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")
#: What reads or writes an object says, truthfully, how it is kept.
_ENCRYPTED: Final = frozenset(
    {
        "GetObject",
        "HeadObject",
        "PutObject",
        "PostObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
    }
)


#: Headers of a form's request that are about the request. Of the object its fields speak, and nothing else: a browser
#: sends a Content-Type and a Cache-Control of its own.
_OF_THE_REQUEST: Final = (
    "content-length",
    "host",
    "origin",
    "user-agent",
    "x-amz-expected-bucket-owner",
    "x-forwarded-for",
)


_ANY_SIZE: Final = Sizes()


#: The operation whose handler waits for records to change.
_WAITS: Final = "CreateBucket"


class Pipeline:
    """Decides and answers requests. One per worker; used from its event loop only."""

    def __init__(
        self,
        directory_source: Callable[[], Directory],
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        observers: Sequence[Observer] = (),
        tolls: Tolls | None = None,
    ) -> None:
        """`directory_source` returns the records as they are at the instant of the call; `clock` is Unix seconds."""
        self._directory_source = directory_source
        self._store = store
        self._clock = clock
        self._observers = tuple(observers)
        self._signing_keys = SigningKeys()
        self._tolls = tolls or Tolls()

    def admit(
        self,
        request: Request,
        raw: RawBody | None,
        request_id: str,
        learn: Callable[[Known], None] | None = None,
    ) -> Call | None:
        """Everything that the head alone decides; nothing of the body was read. Raises S3Error.

        `raw` is the HTTP body, None for a GET or HEAD that has none. None is returned for a form: see `admit_form`.
        `learn` is told what holds for requests that are like this one: see `admit_repeat`.
        """
        directory = self._directory_source()
        revision = directory.revision
        locate(request, directory)
        now = self._clock()
        region = _fresh_region(directory, now)
        route = match(request)
        request.operation = route.operation
        claim = None
        if not request.public_path:  # what comes so is anonymous, whatever credentials a browser sends along
            claim = parse_claim(request, now, region.tag if region.match_region else None)
            if claim is None and route.operation == "PostObject" and is_form(request.headers.get("content-type", "")):
                return None
        call = self._decided(request, raw, request_id, route, claim, directory, region, now)
        # Of the revision of before it was decided: where records have changed meanwhile, nothing will be like it.
        if learn is not None and claim is not None and region.rates is None:
            self._teach(call, claim, revision, learn)
        return call

    def _teach(self, call: Call, claim: Claim, revision: int, learn: Callable[[Known], None]) -> None:
        """Tell what holds for requests that are like this one, if there can be such."""
        principal = call.principal
        if isinstance(principal, KeyHolder) and may_repeat(call.request, call.route, claim):
            key = self._signing_keys.verify(claim, principal.key.secret_key)
            learn(Known(revision, principal, key, claim, call.route, call.attributes))

    def admit_repeat(self, kind: Kind, repeat: Repeat, raw: RawBody | None, request_id: str) -> Call | None:
        """The call of a request whose head is of a known kind, where all is right with it. None: nothing is said of it,
        and `admit` decides."""
        known, now = kind.known, self._clock()
        try:
            directory = self._directory_source()
            held = _held(kind, repeat, directory, now)
        except Exception:  # the whole way meets it as well, and says so
            return None
        if held is None:
            return None
        bucket, region = held
        request = _again(kind, repeat)
        call = Call(
            request, known.route, known.holder, bucket, region, directory, self._store, EMPTY_BODY, request_id, now
        )
        call.attributes = known.attributes
        if raw is not None:
            claim = kind.pattern.claim_of(repeat.amz_date, repeat.signature, repeat.payload)
            try:
                call.body = VerifiedBody(raw, payload_decoder(request, claim, known.signing_key))
                check_declared(call)
            except S3Error:
                return None
        return call

    def read_again(self, kind: Kind, repeat: Repeat) -> tuple[Request, ObjectInfo, bytes] | None:
        """The object that a request of a known, plain kind asks for, and its bytes where it asks for these; None:
        nothing is said of it."""
        try:
            held = _held(kind, repeat, self._directory_source(), self._clock())
            if held is None or held[0].cors:  # then every answer says that it may differ for other pages
                return None
            found = read_plainly(self._store, held[0], repeat.name, kind.known.route.operation)
        except Exception:  # the whole way meets it as well, and says so
            return None
        return None if found is None else (_again(kind, repeat), *found)

    async def admit_form(self, request: Request, raw: RawBody, request_id: str) -> Call:
        """The same for a request whose head showed that it is a form: its fields are read, and nothing of its file."""
        route = match(request)
        if content_length(request.headers) is None:
            raise S3Error("MissingContentLength")
        form = await read_form(raw, form_boundary(request.headers.get("content-type", "")))
        _enter(request, form)
        directory, now = self._directory_source(), self._clock()  # reading it took its time
        region = _fresh_region(directory, now)
        claim = form_claim(form.fields, now, region.tag if region.match_region else None)
        return self._decided(request, raw, request_id, route, claim, directory, region, now, form)

    def _decided(
        self,
        request: Request,
        raw: RawBody | None,
        request_id: str,
        route: Route,
        claim: Claim | None,
        directory: Directory,
        region: RegionRecord,
        now: float,
        form: Form | None = None,
    ) -> Call:
        """The call, where all is right with its signature, its key, its bucket and its headers. Raises S3Error."""
        signing_key = None
        principal: Principal = ANONYMOUS
        sizes = _ANY_SIZE
        if claim is not None:
            request.claimed_signer = claim.access_key_id
            key, signing_key = self._signer(claim, directory)
            request.signer = claim.access_key_id
            principal = _holder(key, request, region)
            if form is not None:  # what was signed is the policy: a form beyond it is nobody's
                sizes = _obeyed(form, request, now)
        bucket = None if request.bucket is None else directory.bucket(request.bucket)
        code = authorize(principal, route.action, request.bucket, bucket, now, place(route, request))
        if code == DENIED and may_know_vacancy(principal, region, request.bucket, bucket, now):
            raise S3Error("NoSuchBucket")
        if code is not None:
            raise S3Error(
                code,
                _in_words(code, principal, route.action, request.bucket),
                **_by_which_record(code, principal, bucket),
            )
        _check_owner(request)
        if route.operation == "ListObjects" and not region.list_objects_v1:
            raise S3Error("NotImplemented", "This region has ListObjects (version 1) turned off: use list-type=2.")
        body: Body = EMPTY_BODY
        if raw is not None:
            decoder: PayloadDecoder
            if form is None:
                decoder = payload_decoder(request, claim, signing_key)
            else:
                if sizes.most is not None and least_size(form, content_length(request.headers) or 0) > sizes.most:
                    raise too_long(sizes.most)
                decoder = FormFile(form.boundary, sizes.least, sizes.most)
                form = form.for_answer()
            body = VerifiedBody(raw, decoder)
        call = Call(request, route, principal, bucket, region, directory, self._store, body, request_id, now, form=form)
        if route.operation == _WAITS:
            call.again = self._look_again
        if raw is not None:
            # Requests that name a key were refused with their route; this one asks for a kind without naming any.
            if request.headers.get(ENCRYPTION, OURS) != OURS:
                raise S3Error("NotImplemented", f"Objects are encrypted with Cooper's keys: {ENCRYPTION} is {OURS}.")
            check_declared(call)
        if region.rates is not None and isinstance(principal, KeyHolder):
            call.spending = self._tolls.admit(request, principal, region.rates, directory)
            size = body.size if form is None else content_length(request.headers)
            if call.spending is not None and size:
                call.spending.announce(size)
        return call

    def preflight(self, request: Request) -> Response:
        """What a browser asks before it sends a page's request. Raises S3Error.

        Nobody is asked who they are. A bucket without rules and one that is not there are answered alike.
        """
        directory = self._directory_source()
        request.operation = "Preflight"
        locate(request, directory)
        _fresh_region(directory, self._clock())
        asked = cors.asked_for(request.headers)
        if request.bucket is None or asked is None:
            raise no_route(request)
        allowed = cors.preflight(_cors_rules(directory, request.bucket), asked)
        if allowed is None:
            raise S3Error("AccessForbidden", cors.REFUSED)
        return Response(headers=allowed)

    def shared(self, request: Request, call: Call | None) -> dict[str, str]:
        """The headers by which a browser lets a page of another origin have the answer, be it an error."""
        origin_sent = request.headers.get("origin")
        if origin_sent is None:
            return cors.VARIES if call is not None and call.bucket is not None and call.bucket.cors else {}
        if request.bucket is None or request.method == "OPTIONS":
            return {}
        try:
            rules = _cors_rules(self._directory_source(), request.bucket)
        except Exception:  # the answer itself is not to be lost by it
            log.exception("the CORS rules could not be read")
            return cors.VARIES
        return cors.actual(rules, origin_sent, request.method)

    def now(self, call: Call) -> Response | None:
        """Answer without waiting, or None when that cannot be: use `handle`. Raises what the handler raises."""
        operation = call.route.operation
        handler = NOW.get(operation)
        response = None if handler is None else handler(call)
        if response is not None and operation in _ENCRYPTED:
            response.headers[ENCRYPTION] = OURS
        return response

    async def handle(self, call: Call) -> Response:
        """Answer. Raises what the handler raises."""
        operation = call.route.operation
        response = await HANDLERS[operation](call)
        if operation in _ENCRYPTED:
            response.headers[ENCRYPTION] = OURS
        return response

    def withdrawn(self, call: Call) -> S3Error | None:
        """Why the records as they are now would not admit this call; None when they would.

        Asked every second while bytes come or go.
        """
        try:
            now = self._clock()
            directory = self._directory_source()
            region = _fresh_region(directory, now)
            principal = call.principal
            if isinstance(principal, KeyHolder):
                key = directory.key(principal.key.access_key_id)
                if key is None:
                    return S3Error("InvalidAccessKeyId")
                principal = _holder(key, call.request, region)
            name = call.request.bucket
            bucket = None if name is None else directory.bucket(name)
            waits = call.route.operation == _WAITS  # for just that
            if not waits and bucket is not None and call.bucket is not None and bucket.data_id != call.bucket.data_id:
                return S3Error("NoSuchBucket")  # another bucket has that name now
            code = authorize(principal, call.route.action, name, bucket, now, place(call.route, call.request))
            return None if code is None else S3Error(code)
        except S3Error as error:
            return error
        except Exception:  # whatever it was, what cannot be shown to be allowed ends
            log.exception("request %s: the records could not be read again; cutting it", call.request_id)
            return S3Error("InternalError")

    def explain(self, error: Exception, call: Call | None, request_id: str) -> S3Error:
        """What to tell the client. Faults of our own are logged, without anything of the request's."""
        if is_fault(error):
            operation = "-" if call is None else call.route.operation
            log.error("request %s (%s) failed", request_id, operation, exc_info=error)
        if call is None or call.bucket is None or may_know_absence(call.principal, call.bucket, call.request.name):
            return to_s3_error(error)
        return to_s3_error(error, S3Error(DENIED, unknown_absence(call.principal)))

    def observe(self, finished: Finished) -> None:
        """Tell of one finished request."""
        for observer in self._observers:
            observer(finished)

    def _look_again(self, call: Call) -> Directory:
        """The records for a handler that waits for a change of them. Raises S3Error when it is to wait no longer."""
        withdrawn = self.withdrawn(call)
        if withdrawn is not None:
            raise withdrawn
        return self._directory_source()

    def _signer(self, claim: Claim, directory: Directory) -> tuple[KeyRecord, bytes]:
        """Who signed, and with which key. Its state is judged later: signature before state."""
        key = directory.key(claim.access_key_id)
        if key is None or not key.secret_key:  # an empty secret would be everybody's
            raise S3Error("InvalidAccessKeyId")
        return key, self._signing_keys.verify(claim, key.secret_key)


def _held(kind: Kind, repeat: Repeat, directory: Directory, now: float) -> tuple[BucketRecord, RegionRecord] | None:
    """The bucket and the Region of a request whose head is of a known kind, where its key may do what it asks for:
    everything that is not the same as it was then is asked anew. None: it may not, or that cannot be said here. Raises
    RecordsNotFresh, and what reading the records raises."""
    known = kind.known
    if directory.revision != known.revision:
        return None
    region = fresh_region(directory, now)
    key, signature = known.signing_key, repeat.signature
    if not kind.pattern.holds(repeat.path, repeat.signed, repeat.amz_date, signature, key, now):
        return None
    bucket = directory.bucket(repeat.bucket)
    if bucket is None:
        return None
    code = authorize(known.holder, known.route.action, repeat.bucket, bucket, now, repeat.name)
    return (bucket, region) if code is None else None


def _again(kind: Kind, repeat: Repeat) -> Request:
    """The request of a head of a known kind, whose signature holds."""
    signer = kind.known.holder.key.access_key_id
    return Request(
        repeat.head.method,
        repeat.path,
        b"",
        repeat.head.headers,
        repeat.bucket,
        repeat.name,
        peer=kind.peer,
        secure=kind.secure,
        operation=kind.known.route.operation,
        claimed_signer=signer,
        signer=signer,
    )


def _enter(request: Request, form: Form) -> None:
    """Let a form's fields say what the headers and the target of a PutObject say. Raises S3Error."""
    key = form.fields.get("key")
    if key is None:
        raise missing("key")
    request.name = check_name(key.encode())
    refuse_promises(form.fields)
    if form.fields.get("tagging"):  # as forms call x-amz-tagging
        raise S3Error("NotImplemented", "Cooper does not implement object tagging; leave out the field tagging.")
    kept = {name: request.headers[name] for name in _OF_THE_REQUEST if name in request.headers}
    request.headers = kept | as_headers(form.fields)


def _obeyed(form: Form, request: Request, now: float) -> Sizes:
    """How large the policy lets the form's file be, if the form is what it allows. Raises S3Error."""
    policy = read_policy(form.fields["policy"])
    check_policy(policy, form.fields, request.bucket or "", now)
    return policy.sizes


def _holder(key: KeyRecord, request: Request, region: RegionRecord) -> KeyHolder:
    return KeyHolder(key, origin(request.peer, request.headers.get("x-forwarded-for", ""), region.trusted_proxies))


def _cors_rules(directory: Directory, name: str) -> tuple[CorsRule, ...]:
    bucket = directory.bucket(name)
    return () if bucket is None or bucket.retained else bucket.cors


def _in_words(code: str, principal: Principal, action: str | None, bucket: str | None) -> str | None:
    """Where a key lacks an action: which one. Where it is used from elsewhere: from where, which whoever wrote its
    allowedNetworks cannot see otherwise."""
    if code == DENIED:
        return denial(principal, action, bucket)
    if code != ELSEWHERE or not isinstance(principal, KeyHolder) or not principal.address:
        return None
    return f"The access key may not be used from {principal.address}: see allowedNetworks of its AccessKey."


def _by_which_record(code: str, principal: Principal, bucket: BucketRecord | None) -> dict[str, str]:
    """Of a bucket that is refused to every key: since when. So a refusal of now is told from one of an earlier time.
    Of a key that is used from elsewhere: what is told to one that is not refused."""
    if code == ELSEWHERE and isinstance(principal, KeyHolder):
        return {RECORD_DIGEST: record_digest(principal.key)}
    if code != REVOKED or bucket is None or bucket.api_access != "Revoked":
        return {}
    return {ACCESS_GENERATION: str(bucket.access_generation)}


def _check_owner(request: Request) -> None:
    """A client that names the owner it expects wants to be refused where another one's bucket has the name."""
    for header in _EXPECTED_OWNERS:
        expected = request.headers.get(header)
        if expected is not None and expected != OWNER_ID:
            raise S3Error(
                "AccessDenied", f"{header} is not the owner of the bucket: of all buckets here that is {OWNER_ID}."
            )


def _fresh_region(directory: Directory, now: float) -> RegionRecord:
    """The region's settings, if the records are recent enough to trust. Raises S3Error ServiceUnavailable."""
    try:
        return fresh_region(directory, now)
    except RecordsNotFresh as error:
        raise S3Error("ServiceUnavailable", str(error)) from None
