"""The pages about the chart, as they stand: installed, services linked, upgraded, backed up, restored, removed."""

import base64
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.aws import clean_env
from e2e.chart.helm import helm
from e2e.docs.pages import ROOT, run, script
from e2e.kind.cluster import Cluster
from support.rig import eventually, s3_client

REGISTRY = "registry.example.com"
#: Deployments of docs/link-your-service.md, and by what the service in them finds what it needs.
LINKED = {
    "my-service": "ACCESS_KEY",
    "reporter": "AWS_ACCESS_KEY_ID",
    "thumbnails": "S3_USER",
    "viewer": "STORAGE_USER",
    "backup": "AWS_SHARED_CREDENTIALS_FILE",
    "gallery": "SERVICE_BINDING_ROOT",
    "archive": "BUCKET_HOST",
}
#: The kinds may have come otherwise, as other tests bring them.
_HELM = 'helm() { if [ "$1" = install ]; then set -- "$@" --take-ownership; fi; command helm "$@"; }\n'
_LARGE = random.Random(1).randbytes(200_000)
#: Volumes of the tests' cluster cannot grow. And a controller of namespaces that has met kinds which are gone deletes
#: nothing of these any more, until it starts anew: tests to come need that. The last are for `cooper up`.
_NOT_HERE = ("kubectl -n cooper-system patch pvc", "kubectl delete crd", "cooper keys ")


_EARLY = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: early, namespace: team}}
spec:
  selector: {{matchLabels: {{app: early}}}}
  template:
    metadata: {{labels: {{app: early}}}}
    spec:
      containers:
        - {{name: early, image: {REGISTRY}/my-service:1.0, envFrom: [{{secretRef: {{name: early}}}}]}}
"""
_BUCKET = """
apiVersion: cooper.dev/v1alpha1
kind: Bucket
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{bucketName: {namespace}-{name}}}
"""


class Shell:
    """A person with a terminal in a clone, who administers the cluster."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._folder = folder
        (folder / "charts").symlink_to(ROOT / "charts")
        own = folder / "kubeconfig"
        shutil.copy(kubeconfig, own)  # a page chooses a namespace in it
        cooper = Path(sys.executable).parent
        path = f"{kubeconfig.parent}:{helm().parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:{cooper}"
        self._env = clean_env(PATH=path, HOME=str(folder), KUBECONFIG=str(own))

    def __call__(self, text: str, seconds: float = 120) -> str:
        return run(_HELM + text, self._folder, self._env, seconds)

    def page(self, name: str, *sections: str, seconds: float) -> str:
        """Run a page, or sections of it; how long that took is printed."""
        began = time.monotonic()
        said = self(script(name, *sections, registry=REGISTRY, but=_NOT_HERE), seconds)
        print(f"\ndocs/{name}{', '.join(('', *sections))}: {time.monotonic() - began:.0f} s")
        return said

    def apply(self, text: str) -> None:
        """`kubectl apply` of manifests."""
        self(f"kubectl apply -f - <<'END'\n{text}END\n")

    def bucket(self, namespace: str, name: str) -> None:
        """A Bucket, Ready."""
        self.apply(_BUCKET.format(namespace=namespace, name=name))
        self(f"kubectl -n {namespace} wait --for=condition=Ready bucket/{name} --timeout=60s")

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """Values of a Secret."""
        data: dict[str, str] = json.loads(self(f"kubectl -n {namespace} get secret {name} -o json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    @contextmanager
    def client(self, credentials: dict[str, str]) -> Generator[Any]:
        """boto3 with these values, through `kubectl port-forward`."""
        command = ["kubectl", "-n", "cooper-system", "port-forward", "service/cooper-gateway", ":9000"]
        with subprocess.Popen(
            [*command, "--address=127.0.0.1"], env=self._env, stdout=subprocess.PIPE, text=True
        ) as forward:
            try:
                assert forward.stdout is not None
                line = forward.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
                assert found is not None, line
                yield s3_client({**credentials, "ENDPOINT": f"http://127.0.0.1:{found[1]}"})
            finally:
                forward.terminate()


@pytest.fixture(scope="module")
def shell(kubeconfig: Path, cluster: Cluster, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With the images that the pages name, and Cooper installed as docs/install.md says."""
    names = f"{REGISTRY}/cooper:0.1.0", f"{REGISTRY}/my-service:1.0"
    subprocess.run(["docker", "tag", image, names[0]], check=True)
    _build_service(image, names[1])
    for name in names:
        cluster.load(name)
    shell = Shell(kubeconfig, tmp_path_factory.mktemp("chart-pages"))
    shell("kubectl wait --for=delete namespace/cooper-system --timeout=60s")
    try:
        shell.page("install.md", seconds=300)
        shell("kubectl create namespace kept")
        yield shell
    finally:
        shell(
            "kubectl delete namespace team kept partner --ignore-not-found --timeout=120s\n"
            "kubectl delete region local --ignore-not-found --timeout=60s\n"
            "helm uninstall cooper --namespace cooper-system --ignore-not-found --wait\n"
            "kubectl delete namespace cooper-system --ignore-not-found --timeout=120s\n"
            "kubectl apply --server-side --force-conflicts -f charts/cooper/files/crds\n",
            400,
        )


def _build_service(base: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(Path(__file__).with_name("my_service.py"), context)
        lines = (f"FROM {base}", "COPY my_service.py /", 'ENTRYPOINT ["python", "/my_service.py"]', "")
        (Path(context) / "Dockerfile").write_text("\n".join(lines))
        command = ["docker", "build", "--quiet", "--tag", name, context]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})


def test_services_are_linked_in_every_way(shell: Shell) -> None:
    said = shell.page("link-your-service.md", seconds=400)
    assert said.count("successfully rolled out") == len(LINKED) + 1
    roles = "kubectl get clusterrole -l servicebinding.io/controller=true -o name"
    assert shell(roles) == "clusterrole.rbac.authorization.k8s.io/cooper-system-cooper-view\n"
    for name, way in LINKED.items():
        logs = f"kubectl -n team logs deployment/{name}"
        wanted = f"linked by {way}: 200\n"
        eventually(f"{name} is linked", lambda logs=logs, wanted=wanted: shell(logs) == wanted, pause=0.5)


def test_a_service_that_is_there_before_its_secret_waits_and_starts_by_itself(shell: Shell) -> None:
    shell.apply(_EARLY)
    reason = "{.items[*].status.containerStatuses[*].state.waiting.reason}"
    look = f"kubectl -n team get pods -l app=early -o jsonpath='{reason}'"
    eventually("the Pod waits", lambda: shell(look) == "CreateContainerConfigError", seconds=30, pause=0.5)
    shell.bucket("team", "early")
    began = time.monotonic()
    shell("kubectl -n team rollout status deployment/early --timeout=90s")
    print(f"\na Pod that waited for its Secret runs {time.monotonic() - began:.1f} s after that was there")


def test_all_that_there_is_outlives_an_upgrade_a_restore_and_an_uninstall(shell: Shell) -> None:
    shell.bucket("kept", "photos")
    values = shell.secret("kept", "photos")
    with shell.client(values) as s3:
        s3.put_object(Bucket="kept-photos", Key="small", Body=b"small")
        s3.put_object(Bucket="kept-photos", Key="large", Body=_LARGE)
    shell.page("upgrade-and-backup.md", "Upgrade", "Roll back", "What an upgrade cannot change", "Back up", seconds=400)
    shell("kubectl delete namespace cooper-system --timeout=120s")
    shell.page("upgrade-and-backup.md", "Restore", seconds=300)
    _is_kept(shell, values)
    said = shell.page("upgrade-and-backup.md", "Is everything still there?", seconds=120)
    assert "all is as it was written" in said
    said = shell.page("upgrade-and-backup.md", "Change the key", seconds=300)
    removable = re.search(r"(\w+)  can be removed", said)
    assert removable is not None, said
    there = "exec cooper-gateway-0 -c gateway -- cooper keys remove --data /data/store --secret kek-local"
    shell(f"kubectl -n cooper-system {there} {removable[1]}")
    _is_kept(shell, values)
    shell.page("upgrade-and-backup.md", "Uninstall, and install again", seconds=300)
    _is_kept(shell, values)
    with shell.client(values) as s3:
        s3.delete_objects(Bucket="kept-photos", Delete={"Objects": [{"Key": "small"}, {"Key": "large"}]})
    said = shell.page("upgrade-and-backup.md", "Remove everything", seconds=300)
    assert said.splitlines()[-1] == 'namespace "cooper-system" deleted'  # and no role after it


def _is_kept(shell: Shell, values: dict[str, str]) -> None:
    """Every object, by the key that was delivered before, and another one that is issued now."""
    assert shell.secret("kept", "photos") == values
    with shell.client(values) as s3:
        assert s3.get_object(Bucket="kept-photos", Key="small")["Body"].read() == b"small"
        assert s3.get_object(Bucket="kept-photos", Key="large")["Body"].read() == _LARGE
    shell.bucket("kept", "more")
    shell("kubectl -n kept delete bucket more --timeout=60s")
