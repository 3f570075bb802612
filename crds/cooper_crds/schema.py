"""Writes the CRDs and their reference page from the models: `python -m cooper_crds.schema [--check] DIR [--docs FILE]`.

With `--check` nothing is written: exit status 1, and what differs on standard output, when a file is not as it would be
written. The reference page belongs to a run from the repository, where `docs/` is.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from cooper_crds.generated import difference
from cooper_crds.manifest import KINDS
from cooper_crds.meta import API_VERSION
from cooper_crds.reference import reference_page
from cooper_crds.structural import structural_schema

GROUP, VERSION = API_VERSION.split("/")
_HEADER: Final = "# Generated from crds/cooper_crds by `make generate`.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")].status'
_AGE: Final = ("Age", "date", ".metadata.creationTimestamp")

_REASON: Final = ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason')
_Columns = tuple[tuple[str, str, str], ...]

# Of each kind: scope, short names, the columns of `kubectl get`, and those that `-o wide` adds.
_NAMES: Final[Mapping[str, tuple[str, tuple[str, ...], _Columns, _Columns]]] = {
    "Region": (
        "Cluster",
        (),
        (
            ("Ready", "string", _READY),
            ("Gateways", "string", ".status.gateways"),
            ("Tag", "string", ".spec.tag"),
            ("Default", "boolean", ".spec.default"),
            ("Endpoint", "string", ".status.endpoint"),
            _AGE,
        ),
        (_REASON,),
    ),
    "Bucket": (
        "Namespaced",
        ("bkt",),
        (
            ("Ready", "string", _READY),
            ("Region", "string", ".status.region"),
            ("Visibility", "string", ".spec.visibility"),
            ("Objects", "integer", ".status.objects"),
            ("Size", "string", ".status.size"),
            ("Secret", "string", ".status.binding.name"),
            _AGE,
        ),
        (("S3 Name", "string", ".status.bucketName"), _REASON),
    ),
    "BucketGrant": (
        "Namespaced",
        ("bg",),
        (
            ("Ready", "string", _READY),
            # Of a list a column shows the first, or JSON: the status has it as text.
            ("From", "string", ".status.namespaces"),
            ("Buckets", "string", ".status.buckets"),
            _AGE,
        ),
        (_REASON,),
    ),
    "AccessKey": (
        "Namespaced",
        ("ak",),
        (
            ("Ready", "string", _READY),
            ("State", "string", ".status.state"),
            ("Key ID", "string", ".status.accessKeyId"),
            ("Secret", "string", ".status.secretName"),
            # A column of type date shows how long ago something was, which says nothing of what is to come.
            ("Expires", "string", ".spec.expiresAt"),
            _AGE,
        ),
        (_REASON,),
    ),
}


def custom_resource_definition(kind: str) -> dict[str, Any]:
    """The CRD (apiextensions.k8s.io/v1) of a kind."""
    model = KINDS[kind]
    scope, short_names, columns, wide = _NAMES[kind]
    names: dict[str, Any] = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": model.plural,
        "singular": kind.lower(),
        "categories": ["cooper"],
    }
    if short_names:
        names["shortNames"] = list(short_names)
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            *({"name": name, "type": type_, "jsonPath": path} for name, type_, path in columns),
            *({"name": name, "type": type_, "jsonPath": path, "priority": 1} for name, type_, path in wide),
        ],
        "schema": {"openAPIV3Schema": structural_schema(model)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{model.plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": scope, "versions": [version]},
    }


def generated_files(directory: Path, docs: Path | None) -> dict[Path, str]:
    """What every generated file holds."""
    crds = {kind: custom_resource_definition(kind) for kind in KINDS}
    files = {directory / f"{GROUP}_{KINDS[kind].plural}.yaml": _HEADER + _yaml(crd) for kind, crd in crds.items()}
    if docs is not None:
        files[docs] = reference_page(crds)
    return files


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Kubernetes' own reader takes anchors, people stumble over them."""
        return True


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def _differences(files: Mapping[Path, str], directory: Path) -> str:
    """How the files on disk differ from what they should be, as a diff; empty when they do not."""
    report = ""
    for path, wanted in files.items():
        report += difference(path, wanted, f"{path} (generated)")
    for path in sorted(set(directory.glob(f"{GROUP}_*.yaml")) - files.keys()):
        report += f"{path}: no model makes this file: remove it\n"
    return report


def main(arguments: Sequence[str]) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cooper_crds.schema", description="Write or check the CRDs.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of the CRD files")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say what differs")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="reference page (docs/resources.md in the repository)"
    )
    options = parser.parse_args(arguments)
    docs: Path | None = options.docs
    if docs is None and Path("crds/cooper_crds/schema.py").exists():
        docs = Path("docs/resources.md")
    files = generated_files(options.directory, docs)
    if options.check:
        report = _differences(files, options.directory)
        sys.stdout.write(report + ("Generated files are stale: run `make generate`.\n" if report else ""))
        return 1 if report else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
