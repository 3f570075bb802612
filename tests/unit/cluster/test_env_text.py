import shutil
import subprocess

import pytest

from cooper_operator.cluster.env_text import Owner, owner_uid, parse, render
from cooper_operator.cluster.port import Invalid

OWNER = Owner("AccessKey", "default", "photos", "0a1b2c3d-uid")

VALUES = [
    "",
    "plain",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY==",
    "http://127.0.0.1:9000",
    "with space",
    "hash # not a comment",
    '$HOME `id` $(id) \\ "',
    "it's",
    "ünïcode",
    "trailing ",
    "semi;colon&and|more",
    "!history",
]


def test_file_says_whose_it_is() -> None:
    text = render(OWNER, {"A": "1"})
    assert text.decode().splitlines() == [
        "# Cooper credentials of AccessKey default/photos uid 0a1b2c3d-uid; edits are put back",
        "A=1",
    ]
    assert owner_uid(text) == "0a1b2c3d-uid"


@pytest.mark.parametrize("text", [b"", b"A=1\n", b"\n# Cooper credentials of AccessKey a/b uid x; e", b"\xff\xfe"])
def test_other_first_lines_name_nobody(text: bytes) -> None:
    assert owner_uid(text) is None


@pytest.mark.parametrize("value", VALUES)
def test_values_come_back(value: str) -> None:
    assert parse(render(OWNER, {"A": value, "B": "end"})) == {"A": value, "B": "end"}


@pytest.mark.parametrize("value", VALUES)
def test_a_shell_reads_the_same_values(value: str, tmp_path: object) -> None:
    shell = shutil.which("sh")
    assert shell
    script = render(OWNER, {"A": value}).decode() + 'printf "%s." "$A"\n'
    done = subprocess.run([shell, "-eu", "-c", script], capture_output=True, check=True, env={})
    assert done.stdout.decode() == value + "."


@pytest.mark.parametrize("value", ["line\nbreak", "nul\0", "bell\a", "both ' and \"", "both ' and $", "cr\r"])
def test_what_no_env_file_can_hold_is_refused_without_telling_it(value: str) -> None:
    with pytest.raises(Invalid, match="value of A") as caught:
        render(OWNER, {"A": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize("key", ["", "1A", "A B", "A=B", "A\nB", "$A", "ä"])
def test_what_is_no_variable_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        render(OWNER, {key: "x"})


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"A=1", {"A": "1"}),
        (b"# comment", {}),
        (b"  ", {}),
        (b"A='unterminated", {"A='unterminated": ""}),
        (b"rm -rf /", {"rm -rf /": ""}),
        (b"A=$(id)", {"A=$(id)": ""}),
        (b"export A=1", {"export A=1": ""}),
    ],
)
def test_every_edit_shows_in_the_data(line: bytes, data: dict[str, str]) -> None:
    assert parse(line + b"\n") == data
