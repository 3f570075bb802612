"""`cooper store verify`: is everything still there, and as it was written?"""

import sys
import time
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cooper_cli.bucket_names import bucket_names
from cooper_cli.cluster_options import namespace_option, records_namespace
from cooper_cli.output import output_option, rendered
from cooper_cli.places import Places
from cooper_cli.rate_option import Rate
from cooper_cli.status import quantity
from cooper_gateway.config import MAP_SIZE
from cooper_gateway.processes.verification import CannotVerify, access, findings
from cooper_gateway.processes.verifying import Order
from cooper_gateway.storage.verification.findings import KINDS, Damage, Note, Plan, Progress
from cooper_operator.cluster.problems import printable

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_DATA_ID: Final = 32  # hex digits
_BETWEEN_LINES: Final = 10.0  # seconds, where there is no terminal
_WEIGHT: Final = 4096  # bytes that an entry counts for in the bar, beside its own


class Unavailable(click.ClickException):
    """A store or a backup cannot be verified, which says nothing about it."""

    exit_code = 2


@click.command(short_help="Read everything back and say what is not as it was written.")
@click.argument("buckets", nargs=-1, metavar="[BUCKET]...")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path(".cooper"), show_default=True, help="The data folder."
)
@click.option("--kek", type=click.Path(path_type=Path), help="Key-encryption key file.  [default: DATA/kek.json]")
@click.option(
    "--rate",
    type=Rate(),
    default="50MiB",
    show_default=True,
    help="Bytes to read a second at most; 0: as fast as the disk gives them.",
)
@namespace_option
@output_option
@click.pass_context
def verify(
    context: click.Context,
    buckets: tuple[str, ...],
    data: Path,
    kek: Path | None,
    rate: int,
    namespace: str | None,
    output: str,
) -> None:
    """Read everything back and say what is not as it was written.

    Of each BUCKET, by its S3 name or the id of its data; of all without any, and then also what belongs to none. It is
    run where the gateway runs, which goes on serving, or while there is none. Nothing is changed.

    The exit status is 0 when all is well, 1 when damage was found, and 2 when the store could not be verified.
    """
    places = Places(data.absolute())
    kek_file = (kek or places.kek).absolute()
    names = bucket_names(places, kek_file, records_namespace(namespace, None))
    only = [_data_id(bucket, names) for bucket in buckets] if buckets else None
    report = Report(names)
    try:
        with access(str(places.data), str(places.run)) as reached:
            order = Order(str(places.data), reached.run_dir, str(kek_file), MAP_SIZE, rate, only)
            with ExitStack() as stack:
                shown = _Bar(report, stack) if sys.stderr.isatty() else _Lines(report)
                for finding in findings(order, reached):
                    report.take(finding)
                    shown.update(finding)
    except CannotVerify as error:
        _show_early(report)
        raise Unavailable(str(error)) from None
    except KeyboardInterrupt:
        _show_early(report)
        raise Unavailable("interrupted: what was not read yet may be damaged") from None
    click.echo(rendered(output, report.values, report.text))
    context.exit(1 if report.damage else 0)


def _show_early(report: "Report") -> None:
    """What was found before it came to an end too early."""
    for line in report.lines():
        click.echo(line, err=True)


class Report:
    """What was found. `names` are those of buckets by their data ids."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._began = time.monotonic()
        self.plan = Plan([], 0, 0, "")
        self.entries = self.size = 0
        self.damage: list[Damage] = []
        self.notes: list[str] = []

    def take(self, finding: object) -> None:
        """Add a finding."""
        match finding:
            case Plan():
                self.plan = finding
            case Progress():
                self.entries += finding.entries
                self.size += finding.size
            case Damage():
                self.damage.append(finding)
            case Note():
                self.notes.append(finding.text)
            case _:
                pass

    def values(self) -> dict[str, Any]:
        """Everything, of nothing but JSON's types."""
        return {
            "sound": not self.damage,
            "format": self.plan.format,
            "buckets": len(self.plan.buckets),
            "entries": self.entries,
            "bytes": self.size,
            "seconds": round(time.monotonic() - self._began, 1),
            "damage": [self._value(each) for each in self.damage],
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """All damage, a line each."""
        return [self._line(each) for each in self.damage]

    def text(self) -> str:
        """The same to read."""
        lines = self.lines()
        kinds = dict.fromkeys(each.kind for each in self.damage)
        if kinds:
            lines += ["", "What to do:", *(f"  {kind}: {KINDS[kind][0]}: {KINDS[kind][1]}." for kind in kinds), ""]
        lines += [f"Note: {printable(note)}." for note in self.notes]
        found = f"{len(self.damage)} found damaged or missing" if self.damage else "all is as it was written"
        lines.append(f"{self._read()}: {found}.")
        return "\n".join(lines)

    def label(self) -> str:
        """How far it is, in a few words."""
        return f"{len(self.damage)} damaged" if self.damage else "verifying"

    def progress(self) -> str:
        """How far it is, in a line."""
        of = f" of {self.plan.entries}, {quantity(self.size)} of {quantity(self.plan.size)}"
        return f"{self.entries}{of}; {len(self.damage) or 'nothing'} damaged"

    def _read(self) -> str:
        buckets = len(self.plan.buckets)
        return (
            f"{self.entries} objects and uploads with {quantity(self.size)} "
            f"in {buckets} bucket{'s' * (buckets != 1)} read back"
        )

    def _bucket(self, data_id: str) -> str:
        return self._names.get(data_id, data_id)

    def _line(self, each: Damage) -> str:
        of = f"bucket {self._bucket(each.data_id)}" if each.data_id else "the store"
        upload = f", upload {each.upload_id}" if each.upload_id else ""
        key = "" if each.key is None else f', key "{_text(each.key)}"'
        return f"{each.kind}: {printable(of)}{key}{upload}: {printable(each.detail)}"

    def _value(self, each: Damage) -> dict[str, Any]:
        return {
            "kind": each.kind,
            "bucket": self._names.get(each.data_id),
            "dataId": each.data_id or None,
            "key": None if each.key is None else each.key.decode(errors="backslashreplace"),
            "uploadId": each.upload_id or None,
            "detail": each.detail,
            "meaning": KINDS[each.kind][0],
            "advice": KINDS[each.kind][1],
        }


class _Bar:
    """A bar on a terminal. Bytes and entries both count: a store may have either."""

    def __init__(self, report: Report, stack: ExitStack) -> None:
        self._report = report
        self._stack = stack
        self._bar: ProgressBar[int] | None = None

    def update(self, finding: object) -> None:
        """Show a finding."""
        if isinstance(finding, Plan) and self._bar is None:
            length = finding.size + _WEIGHT * finding.entries
            bar = click.progressbar(length=length, label=self._report.label(), file=sys.stderr)
            self._bar = self._stack.enter_context(bar)
        elif self._bar is not None and isinstance(finding, (Progress, Damage)):
            self._bar.label = self._report.label()
            self._bar.update(finding.size + _WEIGHT * finding.entries if isinstance(finding, Progress) else 0)


class _Lines:
    """A line now and then, where there is no terminal."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told_at = time.monotonic()

    def update(self, finding: object) -> None:
        """Show a finding."""
        now = time.monotonic()
        if isinstance(finding, Plan):
            what = f"{finding.entries} objects and uploads with {quantity(finding.size)}"
            buckets = len(finding.buckets)
            click.echo(f"reading {what} in {buckets} bucket{'s' * (buckets != 1)}", err=True)
        elif now - self._told_at >= _BETWEEN_LINES:
            self._told_at = now
            click.echo(self._report.progress(), err=True)


def _text(key: bytes) -> str:
    return printable(key.decode(errors="backslashreplace"))


def _data_id(bucket: str, names: dict[str, str]) -> bytes:
    """The data of a bucket that is named by its S3 name or by that very id."""
    for data_id, name in names.items():
        if bucket in (name, data_id):
            return bytes.fromhex(data_id)
    try:
        found = bytes.fromhex(bucket.replace("-", ""))
    except ValueError:
        found = b""
    if len(found) * 2 != _DATA_ID:
        meant = get_close_matches(bucket, names.values(), 3)
        hint = f"did you mean {' or '.join(meant)}?" if meant else "name it by the id of its data, or see --namespace"
        raise Unavailable(f"there is no record of a bucket {bucket}: {hint}")
    return found
