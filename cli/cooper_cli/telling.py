"""What `cooper up` prints while it runs: where things are, what becomes ready or not, and what is wrong in files."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from cooper_cli.places import Places, shown
from cooper_cli.status import condition, status_of
from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.objects import KINDS
from cooper_operator.cluster.port import Object, Ref, Unavailable
from cooper_operator.cluster.problems import printable

#: Seconds between looks at what changed.
_PAUSE: Final = 0.1

_LIST: Final = 'boto3.client("s3", endpoint_url=os.environ["ENDPOINT"]).list_objects_v2(Bucket=os.environ["BUCKET"])'


def say_where(folder: Path, places: Places, endpoint: str, metrics: str) -> None:
    """The first lines."""
    click.echo(
        f"Cooper is up.\n"
        f"  S3 endpoint  {endpoint}\n"
        f"  resources    {shown(folder)}/*.yaml (add, edit or remove files)\n"
        f"  credentials  {shown(places.credentials)}/<namespace>/<name>.env\n"
        f"  metrics      {metrics}\n"
        f"  state        cooper status --data {shown(places.data)}\n"
        f"Ctrl-C stops it; data and keys stay."
    )


class Teller:
    """Prints each change once."""

    def __init__(self, cluster: FolderCluster, places: Places) -> None:
        self._cluster = cluster
        self._places = places
        self._told: dict[Ref, tuple[str, str]] = {}
        self._problems: set[str] = set()
        self._hinted = False

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            try:
                objects = [obj for kind in KINDS for obj in await self._cluster.list_kind(kind)]
            except Unavailable:
                objects = []  # a problem says so
            for obj in objects:
                self._tell(obj)
            problems = {str(problem) for problem in self._cluster.problems}
            for problem in sorted(problems - self._problems):
                click.echo(f"problem: {problem}", err=True)
            self._problems = problems
            await asyncio.sleep(_PAUSE)

    def _tell(self, obj: Object) -> None:
        meta, ready = obj["metadata"], condition(obj, "Ready")
        ref = Ref(obj["kind"], meta.get("namespace", ""), meta["name"])
        now = (str(ready.get("status", "")), str(ready.get("reason", "")))
        if not ready or self._told.get(ref) == now:
            return
        self._told[ref] = now
        is_ready = now[0] == "True"
        click.echo(f"{ref}: " + ("Ready" if is_ready else printable(f"{now[1]}: {ready.get('message', '')}")))
        binding: Mapping[str, str] | None = status_of(obj).get("binding")
        if is_ready and ref.kind == "Bucket" and binding and not self._hinted:
            self._hinted = True
            self._hint(shown(self._places.credentials / ref.namespace / f"{binding['name']}.env"))

    def _hint(self, path: str) -> None:
        click.echo(
            f"\nTry it, with aws-cli or Python:\n"
            f"  set -a; . {path}; set +a\n"
            f"  export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY AWS_DEFAULT_REGION=$REGION\n"
            f"  aws --endpoint-url $ENDPOINT s3 cp some-file s3://$BUCKET/\n"
            f"  python -c 'import os, boto3; print({_LIST})'\n"
        )
