"""Options of commands that work with a Kubernetes cluster."""

from pathlib import Path
from typing import Final

import click

from cooper_crds.kubernetes import SYSTEM_NAMESPACE

#: Where a pod finds the name of its own namespace.
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _there(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise click.ClickException(f"the kubeconfig {path} is not there")
    return None if path is None else path.absolute()


kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    callback=_there,
    help="How to reach the cluster.  [default: $KUBECONFIG, the pod's service account, or ~/.kube/config]",
)
namespace_option = click.option(
    "--namespace", help="Namespace of operator, gateways and records.  [default: the pod's own, or cooper-system]"
)


def records_namespace(named: str | None, kubeconfig: Path | None) -> str:
    """The namespace that was named, else that of the pod this runs in, else the usual one."""
    if named is not None:
        return named
    inside = kubeconfig is None and _POD_NAMESPACE.is_file()
    return _POD_NAMESPACE.read_text().strip() if inside else SYSTEM_NAMESPACE
