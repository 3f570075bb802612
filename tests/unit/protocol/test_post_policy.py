"""Policies of forms, and the fields by which they are signed: each rule in a row of a table."""

import base64
from typing import Any

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.post_policy import Sizes, check_policy, read_policy
from cooper_gateway.protocol.sigv4 import form_claim, signing_key, verify
from support.forms import Signer, encoded, iso_date
from support.s3_signing import KEY_ID, NOW, REGION, SECRET

SIGNER = Signer(KEY_ID, SECRET, REGION, NOW)
LATER = iso_date(NOW + 60)
BUCKET = {"bucket": "photos"}


def document(*conditions: Any, expiration: Any = LATER) -> dict[str, Any]:
    return {"expiration": expiration, "conditions": [BUCKET, *conditions]}


def refusal(policy: object, fields: dict[str, str], bucket: str = "photos", now: float = NOW) -> tuple[str, str]:
    """Code and message that a form is refused with; empty when it is not."""
    try:
        check_policy(read_policy(policy if isinstance(policy, str) else encoded(policy)), fields, bucket, now)
    except S3Error as error:
        return error.code, error.message
    return "", ""


#: conditions besides the bucket's, fields, and what is said of it; empty when it holds.
CONDITIONS: dict[str, tuple[list[Any], dict[str, str], str]] = {
    "exact": ([{"key": "a"}], {"key": "a"}, ""),
    "exact, in brackets": ([["eq", "$key", "a"]], {"key": "a"}, ""),
    "exact, another": ([{"key": "a"}], {"key": "b"}, 'Policy Condition failed: ["eq","$key","a"]'),
    "exact, more": ([{"key": "a"}], {"key": "ab"}, 'Policy Condition failed: ["eq","$key","a"]'),
    "exact, another case": ([{"key": "a"}], {"key": "A"}, 'Policy Condition failed: ["eq","$key","a"]'),
    "exact, in brackets, another": ([["eq", "$key", "a"]], {"key": "b"}, 'Policy Condition failed: ["eq","$key","a"]'),
    "exact, not there": ([{"acl": "private"}], {}, 'Policy Condition failed: ["eq","$acl","private"]'),
    "begins": ([["starts-with", "$key", "user/"]], {"key": "user/a"}, ""),
    "begins with anything": ([["starts-with", "$key", ""]], {"key": "a"}, ""),
    "begins with anything, not there": ([["starts-with", "$acl", ""]], {}, ""),
    "begins otherwise": (
        [["starts-with", "$key", "user/"]],
        {"key": "use"},
        'Policy Condition failed: ["starts-with","$key","user/"]',
    ),
    "begins, not there": (
        [["starts-with", "$acl", "p"]],
        {},
        'Policy Condition failed: ["starts-with","$acl","p"]',
    ),
    "two of a field": (
        [["starts-with", "$key", "a"], ["starts-with", "$key", "ab"]],
        {"key": "ac"},
        'Policy Condition failed: ["starts-with","$key","ab"]',
    ),
    "in any case": ([["StArTs-WiTh", "$KeY", "a"], {"ACL": "x"}], {"key": "ab", "acl": "x"}, ""),
    "types": ([["starts-with", "$Content-Type", "image/"]], {"content-type": "image/png, image/gif"}, ""),
    "types, one of them another": (
        [["starts-with", "$Content-Type", "image/"]],
        {"content-type": "image/png,text/html"},
        'Policy Condition failed: ["starts-with","$content-type","image/"]',
    ),
    "a field that is not named": ([{"key": "a"}], {"key": "a", "acl": "x"}, "Extra input fields: acl"),
    "metadata that is not named": (
        [{"key": "a"}, {"x-amz-meta-a": "b"}],
        {"key": "a", "x-amz-meta-a": "b", "x-amz-meta-b": "c"},
        "Extra input fields: x-amz-meta-b",
    ),
    "fields that need not be named": (
        [{"key": "a"}],
        {"key": "a", "policy": "x", "x-amz-signature": "y", "x-ignore-this": "z"},
        "",
    ),
    "a size is no field": ([["content-length-range", 0, 1]], {"content-length-range": "x"}, "Extra input fields: cont"),
    "an own bucket": ([{"key": "a"}], {"key": "a", "bucket": "photos"}, ""),
    "a dollar in a value": ([["eq", "$key", "$key"]], {"key": "$key"}, ""),
    "a name as it is": ([{"$key": "a"}], {"key": "a"}, 'Policy Condition failed: ["eq","$$key","a"]'),
    "not ASCII": ([{"key": "ü"}], {"key": "ü"}, ""),
    "told with escapes": ([{"key": 'a"\n'}], {"key": "b"}, 'Policy Condition failed: ["eq","$key","a\\"\\n"]'),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_conditions(case: str) -> None:
    conditions, fields, said = CONDITIONS[case]
    code, message = refusal(document(*conditions), fields)
    if said:
        assert code == "AccessDenied"
        assert message.startswith(f"Invalid according to Policy: {said}")
    else:
        assert message == ""


def test_a_form_is_for_one_bucket() -> None:
    policy = document({"key": "a"})
    assert refusal(policy, {"key": "a"}, "other")[0] == "AccessDenied"
    assert refusal(policy, {"key": "a", "bucket": "photos"}, "other")[0] == "InvalidArgument"
    for conditions in ([{"key": "a"}], []):
        code, message = refusal({"expiration": LATER, "conditions": conditions}, {})
        assert (code, "bucket" in message or "key" in message) == ("AccessDenied", True)


def test_what_is_told_is_bounded() -> None:
    _, message = refusal(document({"key": "a" * 5000}), {"key": "b"})
    assert len(message) < 600
    _, message = refusal(document(), {f"f{n}": "" for n in range(100)})
    assert len(message) < 600


@pytest.mark.parametrize(
    ("after", "code"), [(59.9, ""), (60.0, "AccessDenied"), (61.0, "AccessDenied"), (1e9, "AccessDenied")]
)
def test_expiration(after: float, code: str) -> None:
    found, message = refusal(document(), {}, now=NOW + after)
    assert found == code
    assert not code or message == "Invalid according to Policy: Policy expired."


@pytest.mark.parametrize("date", ["2030-01-31T12:00:00Z", "2030-01-31T12:00:00.000Z", "2030-01-31T12:00:00.123456Z"])
def test_expirations_that_are_dates(date: str) -> None:
    assert refusal(document(expiration=date), {}) == ("", "")


NO_POLICIES: dict[str, object] = {
    "nothing": "",
    "no base64": "!!!!",
    "base64 with line ends": encoded(document())[:8] + "\n" + encoded(document())[8:],
    "no JSON": encoded(b"{"),
    "not UTF-8": encoded(b'{"expiration":"\xff","conditions":[]}'),
    "a comma too much": encoded(b'{"expiration":"2030-01-31T12:00:00Z","conditions":[],}'),
    "more after it": encoded(b'{"expiration":"2030-01-31T12:00:00Z","conditions":[]} {}'),
    "a number": 5,
    "a list": [],
    "null": encoded(b"null"),
    "no expiration": {"conditions": []},
    "no conditions": {"expiration": LATER},
    "something else": {**document(), "version": "1"},
    "CONDITIONS": {"expiration": LATER, "CONDITIONS": []},
    "an expiration that is no date": document(expiration="tomorrow"),
    "an expiration in another zone": document(expiration="2030-01-31T12:00:00+02:00"),
    "an expiration without a zone": document(expiration="2030-01-31T12:00:00"),
    "the 31st of February": document(expiration="2030-02-31T12:00:00Z"),
    "a number as expiration": document(expiration=1900000000),
    "conditions as an object": {"expiration": LATER, "conditions": {"key": "a"}},
    "a condition that is a text": document("key"),
    "no condition": document({}),
    "two in one": document({"key": "a", "acl": "b"}),
    "a value that is a number": document({"success_action_status": 201}),
    "a value that is an object": document({"key": {"a": "b"}}),
    "an empty list": document([]),
    "two elements": document(["eq", "$key"]),
    "four elements": document(["eq", "$key", "a", "b"]),
    "another operator": document(["ends-with", "$key", "a"]),
    "an operator that is a number": document([1, "$key", "a"]),
    "no dollar": document(["eq", "key", "a"]),
    "a number in brackets": document(["eq", "$key", 1]),
    "a range of one": document(["content-length-range", 1]),
    "a range of texts": document(["content-length-range", "a", "b"]),
    "a negative range": document(["content-length-range", -1, 5]),
    "a range of fractions": document(["content-length-range", 1.5, 5]),
    "a range of other digits": document(["content-length-range", "\u0661", "5"]),
    "a range without end": document(["content-length-range", 0, 10**30]),
    "truths": document(["content-length-range", True, False]),
    "deep": encoded(b'{"expiration":"2030-01-31T12:00:00Z","conditions":' + b"[" * 7000 + b"]" * 7000 + b"}"),
    "deep objects": encoded(b'{"conditions":' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}"),
    "deep in what is not known": encoded(b'{"x":' + b"[" * 7000 + b"]" * 7000 + b"}"),
}


@pytest.mark.parametrize("case", NO_POLICIES)
def test_what_is_no_policy(case: str) -> None:
    code, message = refusal(NO_POLICIES[case], {})
    assert code == "InvalidPolicyDocument"
    assert len(message) < 600


@pytest.mark.parametrize(
    ("ranges", "sizes"),
    [
        ([], Sizes(0, None)),
        ([(1, 10)], Sizes(1, 10)),
        ([("1", "10")], Sizes(1, 10)),
        ([(1, 10), (5, 20)], Sizes(5, 10)),
        ([(0, 0), (0, 10)], Sizes(0, 0)),
        ([(10, 1)], Sizes(10, 1)),
    ],
)
def test_sizes(ranges: list[tuple[object, object]], sizes: Sizes) -> None:
    policy = read_policy(encoded(document(*[["content-length-range", *each] for each in ranges])))
    assert policy.sizes == sizes


# How forms are signed.


def changed(**changes: str | None) -> dict[str, str]:
    """A signed form's fields; None takes one away, an underscore stands for a hyphen."""
    fields = SIGNER.fields("photos")
    for name, value in changes.items():
        name = name.replace("_", "-")
        if value is None:
            del fields[name]
        else:
            fields[name] = value
    return fields


DAY = SIGNER.fields("photos")["x-amz-date"][:8]
CLAIMS: dict[str, tuple[dict[str, str], str]] = {
    "right": (changed(), ""),
    "not signed": ({"key": "a"}, "none"),
    "no policy": (changed(policy=None), "InvalidArgument"),
    "no algorithm": (changed(x_amz_algorithm=None), "InvalidArgument"),
    "no credential": (changed(x_amz_credential=None), "InvalidArgument"),
    "no date": (changed(x_amz_date=None), "InvalidArgument"),
    "no signature": (changed(x_amz_signature=None), "InvalidArgument"),
    "another algorithm": (changed(x_amz_algorithm="AWS4-ECDSA-P256-SHA256"), "InvalidArgument"),
    "a credential without scope": (changed(x_amz_credential=KEY_ID), "InvalidArgument"),
    "another service": (changed(x_amz_credential=f"{KEY_ID}/{DAY}/{REGION}/ec2/aws4_request"), "InvalidArgument"),
    "another region": (changed(x_amz_credential=f"{KEY_ID}/{DAY}/mars/s3/aws4_request"), "InvalidArgument"),
    "another day in the scope": (
        changed(x_amz_credential=f"{KEY_ID}/20200101/{REGION}/s3/aws4_request"),
        "InvalidArgument",
    ),
    "a date that is none": (changed(x_amz_date="today"), "InvalidArgument"),
    "a signature in upper case": (changed(x_amz_signature="A" * 64), "InvalidArgument"),
    "an empty signature": (changed(x_amz_signature=""), "InvalidArgument"),
    "SigV2": ({"AWSAccessKeyId".lower(): "x", "policy": "x", "signature": "y"}, "InvalidRequest"),
    "both": (changed(awsaccesskeyid="x"), "InvalidRequest"),
    "a session": (changed(x_amz_security_token="x"), "InvalidToken"),
    "in the future": (SIGNER.fields("photos", shift=901), "RequestTimeTooSkewed"),
    "almost in the future": (SIGNER.fields("photos", shift=900), ""),
    "seven days ago": (SIGNER.fields("photos", shift=-604_800), "AccessDenied"),
    "almost seven days ago": (SIGNER.fields("photos", shift=-604_799), ""),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_claims(case: str) -> None:
    fields, code = CLAIMS[case]
    try:
        claim = form_claim(fields, NOW, REGION)
    except S3Error as error:
        assert error.code == code
        assert SECRET not in error.message
        return
    if claim is None:
        assert code == "none"
        return
    assert code == ""
    verify(claim, signing_key(SECRET, claim.date, claim.region))
    with pytest.raises(S3Error) as caught:
        verify(claim, signing_key("another", claim.date, claim.region))
    assert caught.value.code == "SignatureDoesNotMatch"


def test_any_region_where_none_must_match() -> None:
    fields = Signer(KEY_ID, SECRET, "mars", NOW).fields("photos")
    assert form_claim(fields, NOW) is not None


def test_whatever_is_changed_in_a_policy_is_not_signed() -> None:
    fields = changed()
    for policy in (fields["policy"] + "=", fields["policy"][:-4], encoded(document()), ""):
        claim = form_claim({**fields, "policy": policy}, NOW, REGION)
        assert claim is not None
        with pytest.raises(S3Error) as caught:
            verify(claim, signing_key(SECRET, claim.date, claim.region))
        assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("written", "meant"), [(r"a\$b", "a$b"), (r"a\\\$b", r"a\$b"), (r"a\\$b", r"a\$b"), (r"\$\$", "$$")]
)
def test_a_dollar_may_be_escaped(written: str, meant: str) -> None:
    text = '{"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "$key", "' + written + '"]]}'
    assert read_policy(base64.b64encode(text.encode()).decode()).conditions[0].value == meant
