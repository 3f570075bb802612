"""The API server is away, was never there, or says no."""

import time
from pathlib import Path

import yaml
from kubernetes import client

from e2e.gateway.gate import Gate
from e2e.gateway.records import Namespace, usable_key
from support.gateway_rig import Gateway, answer
from support.rig import eventually


def test_serves_on_until_the_records_are_too_old_and_recovers(records: Namespace, gateway: Gateway, gate: Gate) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        s3 = gateway.client(usable_key())
        gate.shut()
        began = time.monotonic()
        while (seen := answer(s3)) == "ok":
            time.sleep(0.2)
            if 10 < time.monotonic() - began < 11:
                gateway.stop()  # the age is counted over restarts
                gateway.start()
        lasted = time.monotonic() - began
        assert seen == "ServiceUnavailable"
        assert 20 < lasted < 32  # maxRecordAge 30 s; the stamp on disk is at most 10 s older than the truth
        assert not gateway.ready
        assert "cannot be reached" in gateway.page("/readyz")[1]
        began = time.monotonic()
        gate.open()
        eventually("an answer", lambda: answer(s3) == "ok")
        assert time.monotonic() - began < 4
        eventually("readiness", lambda: gateway.ready)


def test_a_first_start_waits_for_the_api(records: Namespace, gateway: Gateway, gate: Gate) -> None:
    gate.shut()
    with gateway:
        s3 = gateway.client(usable_key())
        assert answer(s3) == "ServiceUnavailable"
        status, text = gateway.page("/readyz")
        assert status == 503
        assert "never been read" in text
        assert gateway.page("/livez")[0] == 200
        eventually("the reason", lambda: "cannot be reached" in gateway.log.read_text())
        gate.open()
        eventually("an answer", lambda: answer(s3) == "ok")
        assert gateway.log.read_text().count("cannot be reached") == 1


def test_a_damaged_mirror_is_ignored_and_made_anew(records: Namespace, gateway: Gateway, gate: Gate) -> None:
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        s3 = gateway.client(usable_key())
    mirror = gateway.data / "records-mirror"
    mirror.write_bytes(mirror.read_bytes()[:-20] + b"?" * 20)
    gate.shut()
    with gateway:
        assert answer(s3) == "ServiceUnavailable"
        assert "the mirror of the records is not used" in gateway.log.read_text()
        gate.open()
        eventually("an answer", lambda: answer(s3) == "ok")
    gate.shut()
    with gateway:
        assert answer(s3) == "ok"


def test_missing_rights_are_named(namespace: Namespace, gateway: Gateway, gate: Gate, tmp_path: Path) -> None:
    as_account(namespace, gate.kubeconfig, gateway)
    with gateway:
        eventually("the reason", lambda: "list secrets" in gateway.page("/readyz")[1])
        assert f"list secrets in namespace {namespace.name}" in gateway.log.read_text()


def test_a_gateway_needs_these_rights_and_no_others(records: Namespace, gateway: Gateway, gate: Gate) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["records-revision"], "verbs": ["get"]},
    ]
    rbac = client.RbacAuthorizationV1Api(records.core.api_client)
    rbac.create_namespaced_role(records.name, {"metadata": {"name": "gateway"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "gateway", "namespace": records.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gateway"}
    body = {"metadata": {"name": "gateway"}, "roleRef": role, "subjects": [subject]}
    rbac.create_namespaced_role_binding(records.name, body)
    as_account(records, gate.kubeconfig, gateway)
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        records.put(usable_key(state="Revoked"))
        eventually("the revocation", lambda: answer(gateway.client(usable_key())) == "KeyAccessRevoked")
        assert " error " not in gateway.log.read_text()


def test_a_missing_namespace_is_named(gateway: Gateway, gate: Gate) -> None:
    gateway.options = ("--kubeconfig", str(gate.kubeconfig), "--namespace", "f-gateway-nowhere")
    with gateway:
        eventually("the reason", lambda: "there is no namespace f-gateway-nowhere" in gateway.page("/readyz")[1])


def as_account(namespace: Namespace, kubeconfig: Path, gateway: Gateway) -> None:
    """Let the gateway be the service account `gateway` of its namespace."""
    core = namespace.core
    core.create_namespaced_service_account(namespace.name, {"metadata": {"name": "gateway"}})
    token = core.create_namespaced_service_account_token("gateway", namespace.name, {"spec": {}})
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token.status.token}
    account = kubeconfig.with_name("account.kubeconfig")
    account.write_text(yaml.safe_dump(content))
    gateway.options = ("--kubeconfig", str(account), "--namespace", namespace.name)
