import pytest

from cooper_operator.cluster.yaml_documents import YamlError, read_documents


def contents(text: str | bytes) -> list[object]:
    data = text if isinstance(text, bytes) else text.encode()
    return [document.content for document in read_documents(data)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# only a comment\n", []),
        ("---\n---\na: 1\n---\n", [{"a": 1}]),
        ("a: 1\n---\nb: [x, 2, 1.5, true, null, ~]\n", [{"a": 1}, {"b": ["x", 2, 1.5, True, None, None]}]),
        ("at: 2030-01-01T00:00:00Z\nday: 2030-01-01\n", [{"at": "2030-01-01T00:00:00Z", "day": "2030-01-01"}]),
        (b"\xef\xbb\xbfa: 1\r\n", [{"a": 1}]),
        ('{"json": {"is": ["yaml"]}}', [{"json": {"is": ["yaml"]}}]),
        ("text: |\n  two\n  lines\n", [{"text": "two\nlines\n"}]),
    ],
)
def test_documents_have_json_values(text: str | bytes, expected: list[object]) -> None:
    assert contents(text) == expected


def test_each_document_has_its_line() -> None:
    documents = read_documents(b"# first\na: 1\n---\n\nb: 2\n")
    assert [document.line for document in documents] == [2, 5]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + chr(ord(c) - 1)] * 9)}]\n" for c in "bcdefghij"
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\na: 2\n", 2, "given twice"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: 1\n  b: 2\n", 2, "not YAML"),
        ("a: \t@x\n", 1, "not YAML"),
        ("base: &b {x: 1}\nother: *b\n", 2, "aliases"),
        ("base: &b {x: 1}\nother:\n  <<: *b\n", 3, "not supported"),
        (BOMB, 1, "aliases"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "not supported"),
        ("a: !!binary aGk=\n", 1, "not supported"),
        ("a: !!set {x}\n", 1, "not supported"),
        ("1: x\n", 1, "keys must be text"),
        ("? [a]\n: b\n", 1, "keys must be text"),
        ("a: .nan\n", 1, "not a value"),
        ("a: " + "9" * 5000 + "\n", 1, "not a value"),
        ("a: 0o9\nb: !!int x\n", 2, "not a value"),
        ("a: !!bool maybe\n", 1, "not a value"),
        (b"ok: 1\nbad: \xff\n", 2, "UTF-8"),
        ("a: \x00\n", None, "not YAML"),
        ("a: " + "[" * 200 + "]" * 200, 1, "deep"),
        ("a: " + "[" * 200_000, None, "."),
        ("a: " + "{a: " * 100_000, None, "."),
        ("- " * 100_000, None, "."),
        ("%YAML 9.9\n---\na: 1\n", None, "."),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_line(text: str | bytes, line: int | None, said: str) -> None:
    with pytest.raises(YamlError, match=said) as caught:
        contents(text)
    if line is not None and text is not BOMB:
        assert caught.value.line == line


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a:\n  b: 1\n\tc: 2\n", "a:\n  \tb: 1\n", "\ta: 1\n"])
def test_a_tab_is_named_as_what_is_wrong(text: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_documents(text.encode())
    assert caught.value.reason.endswith("; YAML is indented with spaces, never with tabs")
    assert caught.value.line == text[: text.index("\t")].count("\n") + 1


def test_other_mistakes_are_not_put_down_to_tabs() -> None:
    with pytest.raises(YamlError) as caught:
        read_documents(b"a: [1,\t2\nb: }\n")
    assert "tab" not in caught.value.reason


NESTED = """\
a:
  "x.y":
    - one
    - two: 2
      three: 3
  x: {y: 1}
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("", 1),
        ("a", 1),
        ('a["x.y"]', 2),
        ('a["x.y"][0]', 3),
        ('a["x.y"][1].three', 5),
        ('a["x.y"][1].missing', 4),
        ("a.x.y", 6),
        ("a.missing", 1),
        ("missing", 1),
        ("a.x.y.z[3]", 6),
    ],
)
def test_line_of_a_field(where: str, line: int) -> None:
    (document,) = read_documents(NESTED.encode())
    assert document.line_of(where) == line
