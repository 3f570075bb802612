"""What `cooper up` prints while it runs: where things are, what becomes of resources, and what is wrong in files."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from cooper_cli.places import Places, program, shown
from cooper_cli.status import condition, status_of
from cooper_operator.cluster.event_log import Event
from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.folder_report import Remark
from cooper_operator.cluster.objects import KINDS, ref_of
from cooper_operator.cluster.port import Object, Ref, Unavailable
from cooper_operator.cluster.problems import printable
from cooper_operator.plan.reasons import (
    ADOPTED,
    CREATE_REFUSED,
    CREATED_OVER_S3,
    DELETED_OVER_S3,
    DELETION_CALLED_OFF,
    KEY_REISSUED,
)

#: Seconds between looks at what changed.
_PAUSE: Final = 0.1
#: Looks without news before the lines to paste are printed: they come in one piece, after what led to them.
_QUIET_LOOKS: Final = 5

#: What happens to a resource, and neither a condition of it nor the log says.
_HAPPENED: Final = frozenset(
    each.name for each in (KEY_REISSUED, DELETION_CALLED_OFF, DELETED_OVER_S3, CREATED_OVER_S3, CREATE_REFUSED, ADOPTED)
)

_OBJECTS: Final = 'boto3.resource("s3", endpoint_url=os.environ["ENDPOINT"]).Bucket(os.environ["BUCKET"]).objects.all()'


def say_where(folder: Path, places: Places, kek_file: str, endpoint: str, metrics: str) -> None:
    """The first lines."""
    click.echo(
        f"Cooper is up.\n"
        f"  S3 endpoint  {endpoint}\n"
        f"  resources    {shown(folder)}/ (add, edit or remove .yaml and .yml files)\n"
        f"  credentials  {shown(places.credentials)}/<namespace>/<name>.env\n"
        f"  key          {shown(Path(kek_file))} (it encrypts everything: without it no object can be read)\n"
        f"  metrics      {metrics}\n"
        f"  state        {program('cooper')} status --data {shown(places.data)}\n"
        f"Ctrl-C stops it; data and keys stay."
    )


def say_stopping() -> None:
    """The end has begun."""
    _say_if_heard("Stopping …")


def say_stopped(places: Places) -> None:
    """The last line."""
    _say_if_heard(f"Stopped. Data, keys and credentials stay in {shown(places.data)}.")


def _say_if_heard(line: str) -> None:
    with suppress(OSError):  # of a terminal that was closed; everything is to be stopped cleanly all the same
        click.echo(line)


class News:
    """Turns looks at everything into lines about what is new. Pure: it prints nothing."""

    def __init__(self) -> None:
        self._told: dict[Ref, str] = {}
        self._problems: set[str] = set()
        self._happened: dict[Event, int] = {}  # event as it was first seen -> how often it was told

    def of_resources(self, objects: Iterable[Object], remarks: dict[Ref, Remark]) -> list[str]:
        """A line for each resource that is ready, is not any more, is about to go, or is gone."""
        lines: list[str] = []
        now = {ref_of(obj): _state(obj, remarks.get(ref_of(obj))) for obj in objects}
        for ref, (key, text) in now.items():
            if key and self._told.get(ref) != key:
                self._told[ref] = key
                lines.append(f"{ref}: {text}")
        for ref in [ref for ref in self._told if ref not in now]:
            del self._told[ref]
            lines.append(f"{ref}: deleted")
        return lines

    def of_events(self, events: Iterable[Event]) -> list[str]:
        """A line for each event that no condition tells, and for each repeat of one."""
        before, self._happened = self._happened, {}
        lines: list[str] = []
        for event in events:
            if event.reason not in _HAPPENED:
                continue
            first = replace(event, last_seen=event.first_seen, count=1)
            self._happened[first] = event.count
            if before.get(first) != event.count:
                lines.append(f"{event.about}: {printable(f'{event.reason}: {event.message}')}")
        return lines

    def of_problems(self, problems: Iterable[str]) -> list[str]:
        """A line for each problem that is new, and for each that is solved."""
        now = set(problems)
        lines = [f"problem: {each}" for each in sorted(now - self._problems)]
        lines += [f"solved: {each}" for each in sorted(self._problems - now)]
        self._problems = now
        return lines


def _state(obj: Object, remark: Remark | None) -> tuple[str, str]:
    """What a resource is now: a key that changes when there is something to tell (empty: not yet), and its words."""
    if remark is not None and remark.type == "Vanished":
        return remark.type, remark.text
    ready = condition(obj, "Ready")
    if ready.get("status") == "True":
        return ("Deleting", "is being deleted") if "deletionTimestamp" in obj["metadata"] else _of_ready(obj)
    reason = str(ready.get("reason", ""))
    return reason, printable(f"{reason}: {ready.get('message', '')}")


def _of_ready(obj: Object) -> tuple[str, str]:
    """The same of one that is ready, whose domains may not be."""
    domains = condition(obj, "DomainsReady")
    if domains.get("status") != "False":
        return "Ready", "Ready"
    reason = str(domains["reason"])
    return f"Ready, {reason}", printable(f"Ready, but {reason}: {domains['message']}")


class Teller:
    """Prints each change once, and lines to paste when the first credentials are there."""

    def __init__(self, cluster: FolderCluster, places: Places) -> None:
        self._cluster = cluster
        self._places = places
        self._news = News()
        self._quiet_looks = 0
        self._hinted = False

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(_PAUSE)

    async def _look(self) -> None:
        try:
            objects = [obj for kind in KINDS for obj in await self._cluster.list_kind(kind)]
        except Unavailable:
            lines: list[str] = []  # a problem says so; nothing is known of any resource
            objects = []
        else:
            lines = self._news.of_events(self._cluster.events())
            lines += self._news.of_resources(objects, self._cluster.remarks)
        lines += self._news.of_problems(str(problem) for problem in self._cluster.problems)
        for line in lines:
            click.echo(line, err=line.startswith("problem:"))
        self._quiet_looks = 0 if lines else self._quiet_looks + 1
        if not self._hinted and self._quiet_looks >= _QUIET_LOOKS:
            self._hint(objects)

    def _hint(self, objects: list[Object]) -> None:
        """Lines to paste, for the first Bucket that has credentials under the keys that the lines name."""
        for obj in objects:
            binding: dict[str, str] | None = status_of(obj).get("binding")
            ready = obj["kind"] == "Bucket" and condition(obj, "Ready").get("status") == "True"
            credentials: dict[str, Any] = obj.get("spec", {}).get("credentials") or {}
            if binding and ready and not credentials.get("secretKeys"):
                self._hinted = True
                namespace = obj["metadata"]["namespace"]
                trusts = any(each["kind"] == "Region" and "caBundle" in each.get("spec", {}) for each in objects)
                env_file = shown(self._places.credentials / namespace / f"{binding['name']}.env")
                click.echo(_lines_to_paste(env_file, " AWS_CA_BUNDLE=$CA_BUNDLE" if trusts else ""))
                return


def _lines_to_paste(env_file: str, more: str) -> str:
    return (
        f"\nTry it in another terminal, with aws-cli or Python (boto3):\n"
        f"  set -a; . {env_file}; set +a\n"
        f"  export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY AWS_DEFAULT_REGION=$REGION{more}\n"
        f"  echo hello | aws --endpoint-url $ENDPOINT s3 cp - s3://$BUCKET/hello.txt\n"
        f"  {program('python')} -c 'import os, boto3; print([found.key for found in {_OBJECTS}])'\n"
    )
