"""Kinds of others that the chart has objects of, as their own projects define them: from Go modules."""

from pathlib import Path
from typing import Any, Final

import yaml

from e2e.kind.binaries import go, module
from e2e.kind.steps import output, run

#: The Go module that cert-manager is built with. Its go.mod says of which version that is, and Gateway API with it.
CERT_MANAGER: Final = Path(__file__).parent / "go" / "cert-manager"
_PROMETHEUS_OPERATOR: Final = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")

Definitions = list[dict[str, Any]]


def of_cert_manager() -> Definitions:
    """All of cert-manager. Raises StepFailed."""
    return _read(_pinned("github.com/cert-manager/cert-manager") / "deploy" / "crds", "*")


def of_others() -> Definitions:
    """All that the chart has objects of, unless Kubernetes itself or Cooper has them. Raises StepFailed."""
    gateway_api = _pinned("sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    prometheus = module(*_PROMETHEUS_OPERATOR) / "example" / "prometheus-operator-crd"
    return [
        *of_cert_manager(),
        *_read(gateway_api, "*_httproutes"),
        *_read(prometheus, "*_servicemonitors"),
        *_read(prometheus, "*_prometheusrules"),
    ]


def _pinned(path: str) -> Path:
    run("go-mod", [go(), "mod", "download", path], cwd=CERT_MANAGER)
    return Path(output([go(), "list", "-m", "-f", "{{.Dir}}", path], cwd=CERT_MANAGER).strip())


def _read(folder: Path, name: str) -> Definitions:
    texts = [path.read_text() for path in sorted(folder.glob(f"{name}.yaml"))]
    found = [each for text in texts for each in yaml.safe_load_all(text) if each]
    assert {each["kind"] for each in found} == {"CustomResourceDefinition"}, f"{name} in {folder}"
    return found
