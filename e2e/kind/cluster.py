"""Creating and deleting clusters, and taking their API server away for a while."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from e2e.kind import host
from e2e.kind.binaries import kind as kind_cli
from e2e.kind.node_image import node_image
from e2e.kind.steps import StepFailed, output, run, step
from support.artefacts import locked, root

NAME: Final = "cooper"
_LABEL: Final = "io.x-k8s.kind.cluster"
_HERE: Final = Path(__file__).parent
_MANIFEST: Final = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_AWAY: Final = "/etc/kubernetes/kube-apiserver.yaml"
_GONE: Final = 2.0  # seconds without a process
_PODS: Final = "10.244.0.0/16"  # kind's default


class Cluster:
    """A cluster, by its name. It has one node, and as many more as are asked for, when it is made."""

    def __init__(self, name: str = NAME, more_nodes: int = 0) -> None:
        self.name = name
        self._more_nodes = more_nodes
        self.home = root() / f"kind-cluster-{name}"

    @property
    def kubeconfig(self) -> Path:
        """How to reach it."""
        return self.home / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """A kubectl of its version."""
        return self.home / "kubectl"

    @property
    def node(self) -> str:
        """The container that is its node, or the first one: the one that the API server is on."""
        return f"{self.name}-control-plane"

    @property
    def nodes(self) -> list[str]:
        """All nodes, the first one first. Each is a container that bears the node's name. Raises StepFailed."""
        found = output(["docker", "ps", "--all", "--filter", f"label={_LABEL}={self.name}", "--format", "{{.Names}}"])
        return sorted(found.split(), key=lambda each: (each != self.node, each))

    @property
    def gateway_address(self) -> str:
        """This machine's address, as pods and the node see it."""
        return output(
            ["docker", "network", "inspect", "kind", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
        ).strip()

    def direct_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that reaches the API server at its node. What Docker forwards from this machine's own
        address is copied by a process of its own, which no cluster has; a benchmark would measure it too."""
        form = '{{(index .NetworkSettings.Networks "kind").IPAddress}}'
        address = output(["docker", "inspect", self.node, "--format", form]).strip()
        content = yaml.safe_load(self.kubeconfig.read_text())
        content["clusters"][0]["cluster"]["server"] = f"https://{address}:6443"
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
        return path

    def up(self) -> None:
        """Have it run: made when it is not there, as it is when it answers. Raises StepFailed."""
        with locked("kind"):
            if self._answers():
                return
            if host.docker_runs() and not host.docker_is_ours():
                self._create(kind_cli() / "kind", [])  # kind's own node image, pinned by its digest in this kind
            else:
                host.check_host()
                host.install_packages()
                image, programs = node_image()
                self._create(programs / "kind", ["--image", image])

    def down(self) -> None:
        """Delete it; a Docker of ours that has no other cluster ends as well."""
        with locked("kind"):
            if not host.docker_runs():
                return
            self._delete()
            if host.docker_is_ours() and not output(["docker", "ps", "-q", "--filter", f"label={_LABEL}"]).strip():
                host.stop_docker()

    def load(self, image: str) -> None:
        """Give its nodes an image that Docker has, for pods; at once when it is there. Raises StepFailed."""
        with step(f"loading {image} into the cluster {self.name}"):
            run("load", [self.home / "kind", "load", "docker-image", "--name", self.name, image])

    def keep_to_itself(self) -> None:
        """Have its nodes refuse what is sent to a Pod that is gone; otherwise it leaves the cluster, and who knows who
        answers there. To be done anew when a node has restarted.
        """
        for each in self.nodes:
            run("node", ["docker", "exec", each, "ip", "route", "replace", "unreachable", _PODS])

    @contextmanager
    def api_server_away(self) -> Generator[None]:
        """Without API server, as when its node restarts: what talks to it is cut off. It is back, and ready, after."""
        self._exec("mv", _MANIFEST, _AWAY)
        try:
            self._end_api_server()
            yield
        finally:
            self._exec("mv", _AWAY, _MANIFEST)
            self.wait_until_ready(120)

    def _end_api_server(self) -> None:
        """The kubelet would stop it within 20 s; a signal is quicker. It may still be started once more."""
        deadline, gone = time.monotonic() + 30, time.monotonic()
        while time.monotonic() - gone < _GONE:
            if subprocess.run(["docker", "exec", self.node, "pkill", "-9", "-x", "kube-apiserver"]).returncode == 0:
                gone = time.monotonic()
            if time.monotonic() > deadline:
                raise StepFailed(f"the API server of {self.name} is started again and again")
            time.sleep(0.1)

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until its API server answers, and lists all its kinds. Raises StepFailed."""
        deadline = time.monotonic() + seconds
        while not (self._answers() and self._lists_its_kinds()):
            if time.monotonic() > deadline:
                raise StepFailed(f"the API server of {self.name} is not back after {seconds:.0f} s")
            time.sleep(0.2)

    def audit_log(self) -> str:
        """Every write since the cluster was made, one JSON event a line."""
        return output(["docker", "exec", self.node, "cat", "/var/log/audit/audit.log"])

    def _exec(self, *command: str) -> None:
        run("node", ["docker", "exec", self.node, *command])

    def _create(self, kind: Path, options: list[str]) -> None:
        self._delete(kind)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        # The node keeps the folder mounted: it must not be one of a clone that goes away.
        shutil.copytree(_HERE / "audit", self.home / "audit")
        config = (_HERE / "cluster.yaml").read_text().replace("AUDIT_POLICY", str(self.home / "audit"))
        config += "  - role: worker\n" * self._more_nodes
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file, step(f"creating the cluster {self.name}"):
            file.write(config)
            file.flush()
            command = [kind, "create", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig, *options]
            run("create", [*command, "--config", file.name, "--wait", "180s", "--retain"])
            run("create", ["docker", "cp", f"{self.node}:/usr/bin/kubectl", self.kubectl])
            self.keep_to_itself()
            if self._more_nodes:  # Pods are for all nodes
                self._kubectl("taint", "nodes", self.node, "node-role.kubernetes.io/control-plane-")
                self._kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
            self._kubectl("-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=120s")
        (self.home / "kind").symlink_to(kind)

    def _delete(self, kind: Path | None = None) -> None:
        program = kind or self.home / "kind"
        if not program.exists():
            return
        for attempt in range(3):
            try:
                run("delete", [program, "delete", "cluster", "--name", self.name])
                return
            except StepFailed:
                if attempt == 2:
                    raise
                host.thaw(f"{_LABEL}={self.name}")
                time.sleep(2)

    def _kubectl(self, *command: str) -> None:
        run("kubectl", [self.kubectl, "--kubeconfig", self.kubeconfig, *command])

    def _lists_its_kinds(self) -> bool:
        """An API server that just came back may know of CRDs and not list their kinds yet. A namespace that is deleted
        then goes without what there is of those, which stays for ever."""
        kubectl = [self.kubectl, "--kubeconfig", self.kubeconfig]
        try:
            defined = output([*kubectl, "get", "crd", "-o", "jsonpath={.items[*].metadata.name}"]).split()
            return set(defined) <= set(output([*kubectl, "api-resources", "-o", "name"]).split())
        except StepFailed:
            return False

    def _answers(self) -> bool:
        if not self.kubectl.exists() or not host.docker_runs():
            return False
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, "--request-timeout=5s", "get", "--raw", "/readyz"]
        return subprocess.run(command, capture_output=True, env={**os.environ}).returncode == 0
