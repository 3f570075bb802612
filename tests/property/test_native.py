"""The native module and the classes in Python that it stands in for do the same with the same, errors included.

It is built anew here, of the source as it is, with every warning an error; `tests/hostile/test_native_memory.py` has
these tests run with a build that watches its memory.
"""

import ctypes
import hashlib
import hmac
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.crypto import derivation
from cooper_gateway.native import PURE, kind
from cooper_gateway.protocol import sigv4
from hatch_build import build
from support.compiler import need_compiler

ROOT = Path(__file__).parents[2]
VALUES = st.binary(max_size=200) | st.integers(0, 70_000).map(lambda size: b"x" * size)
HEX = b"0123456789abcdef"


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Any:
    need_compiler()
    flags = os.environ.get("CFLAGS", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", f"{flags} -Werror")
        built = build(ROOT, tmp_path_factory.mktemp("native"))
    spec = importlib.util.spec_from_file_location("_native", built)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(native: Any, name: str, *arguments: Any) -> tuple[Any, Any]:
    """One of each."""
    return getattr(native, name)(*arguments), PURE[name](*arguments)


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns, or the error that it raises."""
    try:
        return call(*arguments)
    except ValueError as error:
        return str(error)


def test_the_one_that_is_used() -> None:
    assert {"Deriver", "Verifier"} == PURE.keys()
    used = derivation.Deriver, sigv4.Verifier
    assert all((each is PURE[each.__name__]) == (kind() == "pure") for each in used)


@given(key=VALUES, label=st.binary(max_size=40), salt=VALUES)
def test_keys_derived(native: Any, key: bytes, label: bytes, salt: bytes) -> None:
    fast, pure = both(native, "Deriver", key, label)
    assert fast.derive(salt) == fast.derive(memoryview(salt)) == pure.derive(salt)


@given(nonce=st.binary(min_size=12, max_size=12), plain=VALUES, context=VALUES)
def test_what_one_seals_the_other_opens(native: Any, nonce: bytes, plain: bytes, context: bytes) -> None:
    fast, pure = both(native, "Deriver", b"k" * 32, b"label", nonce)
    for seals, opens in ((fast, pure), (pure, fast), (fast, fast)):
        sealed = seals.seal(memoryview(plain), context)
        assert len(sealed) == 32 + len(plain) + 16
        assert opens.open(memoryview(sealed), context) == plain
    assert fast.seal(plain, context) != fast.seal(plain, context)


@given(data=st.data(), plain=st.binary(max_size=100), context=st.binary(max_size=20))
def test_what_was_altered_does_not_open(native: Any, data: st.DataObject, plain: bytes, context: bytes) -> None:
    fast, pure = both(native, "Deriver", b"k" * 32, b"label")
    sealed = pure.seal(plain, context)
    place = data.draw(st.integers(0, len(sealed) - 1))
    altered = bytearray(sealed)
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    more = sealed + data.draw(st.binary(min_size=1, max_size=40))
    for given_, bound in ((altered, context), (cut, context), (more, context), (sealed, context + b"x")):
        assert outcome(fast.open, given_, bound) == outcome(pure.open, given_, bound)
        assert isinstance(outcome(fast.open, given_, bound), str)
    assert fast.open(sealed, context) == plain  # nothing stays of what went wrong


@given(
    names=st.lists(st.binary(max_size=60), max_size=20),
    clear=st.integers(0, 60),
    context=st.binary(max_size=20),
    damage=st.none() | st.tuples(st.integers(0, 19), st.integers(0, 200)),
)
def test_many_at_once(
    native: Any, names: list[bytes], clear: int, context: bytes, damage: tuple[int, int] | None
) -> None:
    fast, pure = both(native, "Deriver", b"k" * 32, b"label")
    heads = [os.urandom(clear) for _ in names]
    pairs = [
        (name, head + pure.seal(name[::-1], context + head + name)) for name, head in zip(names, heads, strict=True)
    ]
    if damage is not None and damage[0] < len(pairs):
        name, value = pairs[damage[0]]
        pairs[damage[0]] = (name, value[: damage[1]] + b"!" + value[damage[1] + 2 :])
    opened = outcome(fast.open_all, pairs, clear, context)
    assert opened == outcome(pure.open_all, pairs, clear, context)
    assert isinstance(opened, str) or opened == [name[::-1] for name in names]


@given(
    key=st.binary(max_size=64),
    text=VALUES,
    canonical=VALUES,
    noise=st.none() | st.tuples(st.integers(0, 63), st.binary(max_size=3)),
)
def test_signatures(native: Any, key: bytes, text: bytes, canonical: bytes, noise: tuple[int, bytes] | None) -> None:
    fast, pure = both(native, "Verifier", key)
    digest = hashlib.sha256(canonical).hexdigest().encode()
    for expected, name, arguments in (
        (hmac.digest(key, text, "sha256").hex(), "holds", (text,)),
        (hmac.digest(key, text + digest, "sha256").hex(), "holds_digest", (text, canonical)),
    ):
        right = expected.encode()
        assert getattr(fast, name)(*arguments, right) and getattr(pure, name)(*arguments, right)
        wrong = right[: noise[0]] + noise[1] + right[noise[0] + 1 :] if noise else right.upper()
        for other in (wrong, right[:-1], right + b"0", b"", right + right):
            assert getattr(fast, name)(*arguments, other) is getattr(pure, name)(*arguments, other) is (other == right)


def test_keys_and_nonces_that_are_too_long(native: Any) -> None:
    for name, arguments in (
        ("Verifier", (b"k" * 65,)),
        ("Deriver", (b"k", b"l", b"n" * 11)),
        ("Deriver", (b"k", b"l", b"")),
    ):
        fast, pure = (outcome(each, *arguments) for each in (getattr(native, name), PURE[name]))
        assert fast == pure
        assert isinstance(fast, str)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("derive", ("text",)),
        ("seal", (b"", None)),
        ("seal", (b"",)),
        ("open", (3, b"")),
        ("open", (bytes(48), b"", b"")),
        ("open_all", ([], 1)),
        ("open_all", ((), 1, b"")),
        ("open_all", ([], "1", b"")),
        ("open_all", ([b"ab"], 0, b"")),
        ("open_all", ([(b"a",)], 0, b"")),
        ("open_all", ([("a", b"b")], 0, b"")),
        ("open_all", ([(b"a", bytearray(60))], 0, b"")),
        ("open_all", ([], 0, "")),
    ],
)
def test_what_is_of_another_type_is_refused(native: Any, method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        getattr(native.Deriver(b"k" * 32, b"label"), method)(*arguments)


@pytest.mark.parametrize(
    ("name", "method", "arguments"),
    [
        ("Deriver", "derive", {"salt": b""}),
        ("Deriver", "seal", {"plaintext": b"", "context": b""}),
        ("Deriver", "open", {"sealed": bytes(48), "context": b""}),
        ("Deriver", "open_all", {"pairs": [], "clear": 0, "context": b""}),
        ("Verifier", "holds", {"text": b"", "signature": b""}),
        ("Verifier", "holds_digest", {"before": b"", "canonical": b"", "signature": b""}),
    ],
)
def test_arguments_of_methods_have_no_names(native: Any, name: str, method: str, arguments: dict[str, Any]) -> None:
    for each in both(native, name, *((b"k", b"l") if name == "Deriver" else (b"k",))):
        with pytest.raises(TypeError):
            getattr(each, method)(**arguments)


@pytest.mark.parametrize("clear", [-1, 2**31, 2**70])
def test_no_length_is_taken_on_trust(native: Any, clear: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        native.Deriver(b"k" * 32, b"label").open_all([(b"a", bytes(60))], clear, b"")


def test_none_is_lost(native: Any) -> None:
    """Of memory and of references, whichever way a call ends."""
    import gc
    import sys

    deriver, name, value = native.Deriver(b"k" * 32, b"label"), os.urandom(20), os.urandom(100)
    pairs = [(name, value)]
    before = [sys.getrefcount(each) for each in (name, value, pairs, pairs[0])]
    for _ in range(100):
        outcome(deriver.open_all, pairs, 10, name)
        outcome(deriver.open, value, name)
        outcome(deriver.seal, value, name)
        outcome(native.Verifier(name).holds_digest, value, name, value)
    gc.collect()
    assert [sys.getrefcount(each) for each in (name, value, pairs, pairs[0])] == before


@pytest.mark.skipif("FAILING_OPENSSL" not in os.environ, reason="tests/hostile/test_native_memory.py runs it")
def test_each_call_of_openssl_may_fail(native: Any) -> None:
    failing, openssl = ctypes.CDLL(os.environ["FAILING_OPENSSL"]), ctypes.CDLL("libcrypto.so.3")
    key, names = b"k" * 32, [b"one", b"two"]
    deriver, pure, verifier = native.Deriver(key, b"l"), PURE["Deriver"](key, b"l"), native.Verifier(key)
    sealed = pure.seal(b"plain", b"context")
    pairs = [(name, b"clear" + pure.seal(name, b"contextclear" + name)) for name in names]
    signature = hmac.digest(key, b"text" + hashlib.sha256(b"request").hexdigest().encode(), "sha256").hex().encode()

    def derived() -> bytes:
        return native.Deriver(key, b"l", bytes(12)).derive(b"salt")

    calls: list[tuple[Callable[[], Any], Callable[[Any], bool]]] = [
        (derived, lambda found: found == pure.derive(b"salt")),
        (lambda: deriver.seal(b"plain", b"context"), lambda found: pure.open(found, b"context") == b"plain"),
        (lambda: deriver.open(sealed, b"context"), lambda found: found == b"plain"),
        (lambda: deriver.open_all(pairs, 5, b"context"), lambda found: found == names),
        (lambda: native.Verifier(key).holds(b"text", b""), lambda found: found is False),
        (lambda: verifier.holds_digest(b"text", b"request", signature), lambda found: found is True),
    ]
    for call, is_right in calls:
        tried = 0
        failing.fail_after(tried)
        while (found := _failure(call)) is None:
            assert failing.has_failed() and openssl.ERR_peek_error() == 0
            assert is_right(call())  # nothing stays of what went wrong
            tried += 1
            failing.fail_after(tried)
        assert not failing.has_failed() and tried > 4
        failing.fail_after(-1)
        assert is_right(found)


def _failure(call: Callable[[], Any]) -> Any:
    """What it returns; None when that is one of the errors that tell of a failure."""
    try:
        return call()
    except (RuntimeError, ValueError, OSError):
        return None
