"""`cooper status`: every resource with its conditions, and what is wrong in the resources folder."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from cooper_cli.output import output_option, rendered
from cooper_cli.places import Places
from cooper_crds.quantities import parse_quantity
from cooper_gateway.processes.lock import holder_of
from cooper_operator.cluster.folder_report import Remark, RemarkType
from cooper_operator.cluster.folder_status import FolderStatus, read_status
from cooper_operator.cluster.port import Object, Unavailable
from cooper_operator.cluster.problems import printable

_REMARKS: Mapping[RemarkType, str] = {"Vanished": "Deleting", "Held": "FileVanished", "NotApplied": "NotApplied"}
HEADERS = ("KIND", "NAMESPACE", "NAME", "READY", "REASON", "AGE", "DETAIL")

#: Largest unit first, as Kubernetes writes quantities.
_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path(".cooper"), show_default=True, help="The data folder."
)
@output_option
def status(data: Path, output: str) -> None:
    """Show resources, their conditions, and problems.

    Works whether or not Cooper is running, and says which. A resource that is not ready tells why and what to do.
    """
    places = Places(data)
    if not places.state.is_dir():
        raise click.ClickException(
            f"{data} has no state of Cooper: start `cooper up` first, or name its data folder with --data"
        )
    try:
        found, holder = read_status(places.state), holder_of(str(places.data))
    except (Unavailable, OSError) as error:
        raise click.ClickException(str(error)) from error
    running = holder is not None
    click.echo(rendered(output, lambda: _everything(found, running), lambda: _as_table(found, running)))
    if not running and output == "table":
        click.echo(f"Cooper is not running on {data}: this is the state that it left.", err=True)


def _everything(found: FolderStatus, running: bool) -> dict[str, Any]:
    """What there is to say, of nothing but JSON's types."""
    parts = {"items": found.objects, "problems": found.problems, "remarks": list(found.remarks.values())}
    return {"running": running, **msgspec.to_builtins(parts)}


def _as_table(found: FolderStatus, running: bool) -> str:
    from tabulate import tabulate  # it takes memory, and `cooper up` is not to have it all the time

    if found.objects:
        now = time.time()
        rows = [row(obj, found.remark(obj), now) for obj in found.objects]
        text = tabulate(rows, headers=HEADERS, tablefmt="plain", disable_numparse=True)
    else:
        text = "No resources yet: put a manifest into the resources folder."
    if found.problems:
        text += "\n\nProblems:\n" + "\n".join(f"  {problem}" for problem in found.problems)
    return text


def row(obj: Object, remark: Remark | None, now: float) -> tuple[str, ...]:
    """One line of the table; `now` is in Unix seconds. What there is to say of its file comes before the rest."""
    meta, state = obj["metadata"], status_of(obj)
    spec: Mapping[str, Any] = obj.get("spec") or {}
    ready = condition(obj, "Ready")
    is_ready = ready.get("status") == "True"
    reason = "Deleting" if is_ready and "deletionTimestamp" in meta else str(ready.get("reason", "Pending"))
    detail = _DETAILS[obj["kind"]](spec, state) if is_ready else str(ready.get("message", ""))
    if remark is not None:
        reason, detail = _REMARKS[remark.type], remark.text
    age = readable_age(now - datetime.fromisoformat(meta["creationTimestamp"]).timestamp())
    is_true = str(ready.get("status", "Unknown"))
    cells = (obj["kind"], meta.get("namespace", ""), meta["name"], is_true, reason, age, detail)
    return tuple(printable(cell) for cell in cells)


def readable_age(seconds: float) -> str:
    """An age as kubectl writes it: its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def condition(obj: Object, type_: str) -> Mapping[str, Any]:
    """A condition of a resource; empty while it has none of that type."""
    conditions: list[Mapping[str, Any]] = status_of(obj).get("conditions") or []
    for found in conditions:
        if found["type"] == type_:
            return found
    return {}


def status_of(obj: Object) -> Mapping[str, Any]:
    """A resource's status; empty while it has none."""
    state: Mapping[str, Any] | None = obj.get("status")
    return state or {}


def quantity(size: int) -> str:
    """A size in bytes as a person reads it."""
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.1f} {unit}B"
    return f"{size} B"


def _region(spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    default = ", default" if spec.get("default") else ""
    return f"{spec['tag']}{default}"


def _bucket(spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    objects, size = int(state.get("objects") or 0), parse_quantity(str(state.get("size") or 0))
    access = ", API access revoked" if spec.get("apiAccess") == "Revoked" else ""
    visibility = str(spec.get("visibility", "Private")).lower()
    return f"{visibility}, {objects} object{'s' * (objects != 1)}, {quantity(size)}{access}{_domains(state)}"


def _domains(state: Mapping[str, Any]) -> str:
    """Host names that a bucket has, and what is wrong with others."""
    ready = condition({"status": state}, "DomainsReady")
    has = [f"at {', '.join(state['domains'])}"] if state.get("domains") else []
    wrong = [str(ready["reason"])] if ready.get("status") == "False" else []
    return "".join(f", {each}" for each in (*has, *wrong))


def _bucket_grant(spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    return "to " + ", ".join(each["namespace"] for each in spec["from"])


def _access_key(spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    place = "status.once" if "once" in state else f"{state.get('secretName', '')}.env"
    return f"{state.get('accessKeyId', '')} in {place}"


_DETAILS = {"Region": _region, "Bucket": _bucket, "BucketGrant": _bucket_grant, "AccessKey": _access_key}
