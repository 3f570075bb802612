"""What the bench against peers makes of what it measured, and that it names its peers' versions in one way."""

import json
import mmap
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import pages
from bench.peers import listed, page, pins, table
from bench.peers.bench import rotated
from bench.peers.generator import Measured, Request, WrongAnswers, parse
from bench.peers.loads import FULL, QUICK, Bodies, Maker, mixed, ranges
from bench.peers.multipart import Multipart
from bench.peers.servers import Keys, Program
from bench.peers.table import Sample
from support.process_tree import mapped_files, memory_without

ONE = Measured(
    requests=1000,
    errors=0,
    first_error="",
    reconnects=0,
    seconds=2,
    received=4096,
    sent=10,
    p50=0.001,
    p99=0.002,
    first_byte_p99=0.0015,
    cpu=0.1,
)


def sample(requests: int) -> Sample:
    return Sample(replace(ONE, requests=requests), cpu=requests / 10_000, memory=3 * 2**20)


def test_reads_what_the_generator_prints() -> None:
    assert parse(json.dumps(asdict(ONE))) == ONE
    assert ONE.rate == 500


def test_a_wrong_answer_ends_the_run() -> None:
    with pytest.raises(WrongAnswers, match="2 of 1002 answers were wrong: status 503"):
        parse(json.dumps(asdict(replace(ONE, errors=2, first_error="status 503"))))


def test_no_answer_is_no_figure() -> None:
    with pytest.raises(WrongAnswers):
        parse(json.dumps(asdict(replace(ONE, requests=0))))


def test_ratios_are_of_rounds_that_lie_beside_each_other() -> None:
    found = table.ratio([sample(100), sample(400), sample(900)], [sample(100), sample(100), sample(300)])
    assert (found.median, found.least, found.most) == (3, 1, 4)
    assert str(found) == "3.00 (1.00 to 4.00)"


def test_lines_are_of_what_both_served() -> None:
    taken = {"get-4k": {"cooper": [sample(500)], "peer": [sample(200)]}, "put-4k": {"cooper": [sample(500)]}}
    assert table.lines(taken, "cooper", "peer") == ["get-4k 2.50"]


def test_a_row_has_all_figures() -> None:
    taken = {"get-4k": {"cooper": [sample(500)], "peer": [sample(200)]}}
    ours, theirs = table.rows(taken, "cooper")
    assert ours == ["get-4k", "cooper", "250.0", "1.00", "2.00", "1.50", "0.100", "3", ""]
    assert theirs[-1] == "2.50 (2.50 to 2.50)"
    assert len(theirs) == len(table.HEADERS)


def test_each_server_is_the_first_at_times() -> None:
    servers = [Program(name, Path(), lambda home, port: [], None) for name in "abc"]
    assert [[each.name for each in rotated(servers, turn)] for turn in range(3)] == [
        list("abc"),
        list("bca"),
        list("cab"),
    ]


def test_pins_are_those_of_the_modules() -> None:
    assert pins.required("versitygw", "github.com/versity/versitygw") == pins.VERSITYGW
    assert pins.required("minio", "github.com/minio/minio") == pins.MINIO
    with pytest.raises(LookupError):
        pins.required("minio", "github.com/minio/other")


def maker(tmp_path: Path, keys: Keys | None) -> Maker:
    return Maker(Program("peer", tmp_path, lambda home, port: [], keys), Bodies(tmp_path, large=2**20))


def test_requests_are_signed_with_the_digest_of_the_body(tmp_path: Path) -> None:
    made = maker(tmp_path, Keys("access", "secret", "here"))
    request = made.put("a", "small")
    assert request.head.startswith("PUT /bench/a HTTP/1.1\r\n")
    assert "Credential=access/" in request.head
    assert made.bodies.sha256["small"] in request.head
    assert "Content-Length: 4096\r\n" in request.head
    assert request.etag == made.bodies.md5["small"]


def test_nothing_is_signed_for_a_server_of_files(tmp_path: Path) -> None:
    made = maker(tmp_path, None)
    assert "Authorization" not in made.get("a", "small").head


def test_each_server_is_asked_for_the_same(tmp_path: Path) -> None:
    one, other = maker(tmp_path, None), maker(tmp_path, Keys("access", "secret", "here"))
    for load in (mixed, ranges, *(each.requests for each in listed.loads(5_000))):
        assert [what(each) for each in load(one)] == [what(each) for each in load(other)]
    assert len({each.name for each in QUICK}) == len(QUICK)


def what(request: Request) -> tuple[str, int]:
    return request.head.partition("\r\n")[0], request.from_


def test_loads_have_names_of_their_own_and_a_place_on_the_page() -> None:
    names = [each.name for each in (*FULL, Multipart(), *listed.loads(10_000))]
    assert sorted(names) == sorted(page.LOADS)


def test_what_is_deleted_was_put_before(tmp_path: Path) -> None:
    there: set[str] = set()
    for request in mixed(maker(tmp_path, None)):
        method, path, _ = request.head.split(" ", 2)
        if method == "DELETE":
            assert path not in {f"/bench/small/{number:04}" for number in range(500)}
        there.add(method)
    assert there == {"GET", "PUT", "DELETE"}


def test_names_that_are_listed_are_in_order_and_each_folder_has_as_many() -> None:
    names = [listed.name_of(number, 3_000) for number in range(3_000)]
    assert names == sorted(set(names))
    assert len({name.partition("/")[0] for name in names}) == listed.FOLDERS


def test_what_a_server_of_files_made_is_copied_with_its_attributes(tmp_path: Path) -> None:
    bucket = tmp_path / "data" / "bench"
    (bucket / "000").mkdir(parents=True)
    (bucket / "000" / "000000").write_bytes(b"content")
    os.setxattr(bucket / "000" / "000000", "user.etag", b"sum")
    listed.multiply(bucket, 2_000)
    copy = bucket / "999" / "000001"
    assert (copy.read_bytes(), os.getxattr(copy, "user.etag")) == (b"content", b"sum")
    assert len([path for path in bucket.rglob("*") if path.is_file()]) == 2_000


def test_what_a_server_made_as_a_folder_is_copied(tmp_path: Path) -> None:
    (tmp_path / "000" / "000000").mkdir(parents=True)
    (tmp_path / "000" / "000000" / "meta").write_bytes(b"content")
    listed.multiply(tmp_path, 1_000)
    assert (tmp_path / "999" / "000000" / "meta").read_bytes() == b"content"


def test_what_is_measured_anew_replaces_what_the_page_had_of_it(tmp_path: Path) -> None:
    path = tmp_path / "peers.md"
    names = ("missing", *page.tables({}))
    path.write_text("# Title\n" + "\n".join(f"<!-- {name} -->\n<!-- end of {name} -->" for name in names) + "\nwords\n")
    page.write(path, {"get-4k": {"cooper": [sample(500)], "minio": [sample(100)]}}, {"garage": "no cargo"})
    page.write(path, {"get-4k": {"cooper": [sample(600)]}, "head": {"cooper": [sample(7_000)]}}, {})
    text = path.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("words\n")
    (ratios,) = [line for line in text.splitlines() if "6.00 (6.00 to 6.00)" in line]
    assert ratios.startswith("| get-4k ")
    assert "3,500" in text
    assert "garage" not in text
    assert page.load(tmp_path / "peers.json")["get-4k"]["minio"] == [sample(100)]
    assert (tmp_path / "peers.memory.svg").exists()


def test_what_was_not_measured_is_told(tmp_path: Path) -> None:
    path = tmp_path / "peers.md"
    names = ("missing", *page.tables({}))
    path.write_text("\n".join(f"<!-- {name} -->\n<!-- end of {name} -->" for name in names))
    page.write(path, {"get-4k": {"cooper": [sample(500)]}}, {"garage": "it is built with cargo"})
    assert "garage was not measured: it is built with cargo." in path.read_text()


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Title\n")
    with pytest.raises(ValueError, match="no place for figures"):
        pages.replace(tmp_path / "page.md", "figures", "text")


def test_mapped_pages_count_unless_they_are_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "index").write_bytes(bytes(16 << 20))
    with (data / "index").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert not any(mapped[:: mmap.PAGESIZE])
        assert mapped_files(os.getpid())[str(data / "index")] == 16 << 10
        difference = memory_without(os.getpid(), tmp_path / "other") - memory_without(os.getpid(), data)
    assert 15 << 20 < difference < 17 << 20
