"""`cooper status`: every resource with its conditions, and what is wrong in the resources folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from cooper_cli.places import Places
from cooper_operator.cluster.folder_status import FolderStatus, read_status
from cooper_operator.cluster.port import Object, Unavailable
from cooper_operator.cluster.problems import printable

#: Largest unit first, as Kubernetes writes quantities.
_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path(".cooper"), show_default=True, help="The data folder."
)
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(data: Path, output: str) -> None:
    """Show resources, their conditions, and problems with files. Works whether or not Cooper is running."""
    places = Places(data)
    if not places.state.is_dir():
        raise click.ClickException(
            f"{data} has no state of Cooper: start `cooper up` first, or name its data folder with --data"
        )
    try:
        found = read_status(places.state)
    except Unavailable as error:
        raise click.ClickException(str(error)) from error
    click.echo(_as_json(found) if output == "json" else _as_table(found))


def _as_json(found: FolderStatus) -> str:
    problems = [{"file": p.file, "line": p.line, "reason": p.reason} for p in found.problems]
    return json.dumps({"items": found.objects, "problems": problems}, indent=2, default=str)


def _as_table(found: FolderStatus) -> str:
    if found.objects:
        headers = ("KIND", "NAMESPACE", "NAME", "READY", "REASON", "DETAIL")
        text = tabulate([row(obj) for obj in found.objects], headers=headers, tablefmt="plain", disable_numparse=True)
    else:
        text = "No resources yet: put a manifest into the resources folder."
    if found.problems:
        text += "\n\nProblems:\n" + "\n".join(f"  {problem}" for problem in found.problems)
    return text


def row(obj: Object) -> tuple[str, ...]:
    """One line of the table. A resource that is not ready shows its message, which says what to do."""
    meta, state = obj["metadata"], status_of(obj)
    spec: Mapping[str, Any] = obj.get("spec") or {}
    ready = condition(obj, "Ready")
    is_ready = ready.get("status") == "True"
    detail = _DETAILS[obj["kind"]](spec, state) if is_ready else str(ready.get("message", ""))
    cells = (
        obj["kind"],
        meta.get("namespace", ""),
        meta["name"],
        str(ready.get("status", "Unknown")),
        "Deleting" if is_ready and "deletionTimestamp" in meta else str(ready.get("reason", "Pending")),
        detail,
    )
    return tuple(printable(cell) for cell in cells)


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
    objects, size = int(state.get("objects") or 0), int(state.get("size") or 0)
    access = ", API access revoked" if spec.get("apiAccess") == "Revoked" else ""
    visibility = str(spec.get("visibility", "Private")).lower()
    return f"{visibility}, {objects} object{'s' * (objects != 1)}, {quantity(size)}{access}"


def _access_key(spec: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    return f"{state.get('accessKeyId', '')} in {state.get('secretName', '')}.env"


_DETAILS = {"Region": _region, "Bucket": _bucket, "AccessKey": _access_key}
