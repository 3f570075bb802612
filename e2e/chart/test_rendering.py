"""What the chart makes of values: objects that the API server takes, and clear words where it cannot."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cooper_crds.patterns import pattern_of
from e2e.chart.helm import CHART, NAMESPACE, Helm, HelmFailed
from e2e.chart.kinds import of_others
from e2e.crds import samples
from e2e.kubectl import ESTABLISHED
from e2e.operator import rights

EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "s3",
    "image": {"repository": "registry.example.com/cooper", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "region": {
        "name": "north",
        "tag": "eu-north-1",
        "publicEndpoint": "https://s3.example.com",
        "spec": {"maxRecordAge": "1h"},
    },
    "operator": {
        "verbose": True,
        "podAnnotations": {"a": "b"},
        "podLabels": {"a": "b"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
    },
    "gateway": {
        "podAnnotations": {"a": "b"},
        "podLabels": {"a": "b"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "service": {"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}},
        "persistence": {"accessMode": "ReadWriteOncePod", "storageClass": "fast", "size": "1Ti"},
        "accessLog": {"enabled": True, "share": 0.1},
        "traces": {"collector": "http://collector:4318", "share": 0.1, "headersSecret": "collector"},
    },
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "s3.example.com",
        "tlsSecret": "tls",
        "annotations": {"a": "b", "nginx.ingress.kubernetes.io/proxy-body-size": "1g"},
    },
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["s3.example.com"]},
    "networkPolicy": {"enabled": True, "metricsFrom": ["monitoring"]},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"a": "b"}},
        "prometheusRule": {"enabled": True, "labels": {"a": "b"}},
        "grafanaDashboard": {"enabled": True, "annotations": {"grafana_folder": "Storage"}},
    },
}
CERT_MANAGER = {
    "mode": "certManager",
    "secretName": "made",
    "certManager": {
        "issuerRef": {"name": "internal", "kind": "ClusterIssuer"},
        "duration": "2160h",
        "renewBefore": "360h",
        "annotations": {"a": "b"},
    },
}
VALUES: dict[str, dict[str, Any]] = {
    "as they are": {},
    "everything": EVERYTHING,
    "some namespaces": {"watchNamespaces": ["default", "kube-public"]},
    "no gateway, and no kinds": {
        "gateway": {"enabled": False},
        "crds": {"install": False},
        "networkPolicy": {"enabled": True},
        "metrics": {"prometheusRule": {"enabled": True}},
    },
    "a claim that is there": {"gateway": {"persistence": {"existingClaim": "mine"}, "kekSecret": "mine"}},
    "metrics for this namespace": {"networkPolicy": {"enabled": True}},
    "TLS with a Secret": {"gateway": {"tls": {"mode": "secret", "secretName": "mine"}}},
    "TLS by cert-manager": {"gateway": {"tls": CERT_MANAGER}, "ingress": {"enabled": True, "host": "s3.example.com"}},
    "TLS that the operator makes": {
        "gateway": {"tls": {"mode": "generated"}},
        "region": {"internalEndpoint": "https://s3.internal:9000", "publicEndpoint": "https://S3.Example.com"},
        "watchNamespaces": ["default"],
    },
    "TLS that the operator makes for other names": {
        "gateway": {"tls": {"mode": "generated", "dnsNames": ["*.s3.example.com", "10.0.0.1"]}}
    },
    "buckets with host names": {
        "gateway": {"tls": {"mode": "generated"}},
        "region": {"spec": {"features": {"virtualHosts": "s3.example.com"}}},
        "ingress": {"enabled": True, "host": "s3.example.com", "tlsSecret": "tls"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["s3.example.com"]},
    },
    "TLS that something before the gateway ends": {"region": {"internalEndpoint": "https://s3.example.com"}},
    "TLS before the gateway, as the Region's spec says": {
        "region": {"spec": {"endpoints": {"internal": "https://s3.example.com"}}}
    },
    "TLS that the operator makes for what the Region's spec says": {
        "gateway": {"tls": {"mode": "generated"}},
        "region": {"publicEndpoint": "https://unused", "spec": {"endpoints": {"public": "https://s3.example.com"}}},
    },
    "names that YAML takes for something else": {
        "nameOverride": "7",
        "fullnameOverride": "s3",
        "region": {"name": "no", "tag": "1"},
        "operator": {"priorityClassName": "1"},
        "gateway": {
            "kekSecret": "1e3",
            "priorityClassName": "1",
            "persistence": {"storageClass": "1", "size": "1000000000"},
            "tls": {"mode": "secret", "secretName": "0"},
        },
        "ingress": {"enabled": True, "className": "on", "host": "1", "tlsSecret": "0"},
        "networkPolicy": {"enabled": True, "metricsFrom": ["12"]},
        "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
    },
}

#: Values, and what of them is said to be wrong.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong type": ({"gateway": {"workers": "two"}}, "/gateway/workers"),
    "an unknown key": ({"gateway": {"worker": 2}}, "worker"),
    "an unknown key above": ({"gateways": {}}, "gateways"),
    "more replicas than the embedded store can have": ({"gateway": {"replicas": 3}}, "replicas"),
    "no operator": ({"operator": {"replicas": 0}}, "/operator/replicas"),
    "a collector with a password in its URL": (
        {"gateway": {"traces": {"collector": "http://user:word@collector:4318"}}},
        "/gateway/traces/collector",
    ),
    "a Region's name that is none": ({"region": {"name": "North"}}, "/region/name"),
    "a Region's name with nothing between periods": ({"region": {"name": "a..b"}}, "/region/name"),
    "a name that no object can have": ({"fullnameOverride": "My_Name"}, "/fullnameOverride"),
    "a field of a Region that is none": ({"region": {"spec": {"maxRecordsAge": "1h"}}}, "maxRecordsAge"),
    "a Region's field of a wrong type": ({"region": {"spec": {"features": {"matchRegion": "yes"}}}}, "matchRegion"),
    "a field that is none within a field": ({"region": {"spec": {"limits": {"maxSize": "1Gi"}}}}, "maxSize"),
    "a section that is a text": (
        {"region": {"spec": {"endpoints": "https://s3.example.com"}}},
        "/region/spec/endpoints",
    ),
    "a Region's endpoint without a scheme": (
        {"region": {"spec": {"endpoints": {"public": "s3.example.com"}}}},
        "/region/spec/endpoints/public",
    ),
    "a size that a Region takes for none": (
        {"region": {"spec": {"limits": {"maxObjectSize": "5 GB"}}}},
        "/region/spec/limits/maxObjectSize",
    ),
    "a duration that is none": ({"region": {"spec": {"maxRecordAge": "soon"}}}, "/region/spec/maxRecordAge"),
    "a template without the name": ({"region": {"spec": {"bucketNameTemplate": "team-a"}}}, "bucketNameTemplate"),
    "certificates that are none": ({"region": {"spec": {"caBundle": "ca.crt"}}}, "/region/spec/caBundle"),
    "a field of a Region's spec that is null": ({"region": {"spec": {"limits": None}}}, "/region/spec/limits"),
    "no tag": ({"region": {"tag": ""}}, "/region/tag"),
    "a tag that is none": ({"region": {"tag": "US East"}}, "/region/tag"),
    "an endpoint with a path": ({"region": {"publicEndpoint": "https://example.com/s3"}}, "/region/publicEndpoint"),
    "an endpoint that is none": ({"region": {"publicEndpoint": "s3.example.com"}}, "/region/publicEndpoint"),
    "a size that is none": ({"gateway": {"persistence": {"size": "ten"}}}, "/gateway/persistence/size"),
    "a volume for many": ({"gateway": {"persistence": {"accessMode": "ReadWriteMany"}}}, "accessMode"),
    "an Ingress without a host": ({"ingress": {"enabled": True}}, "ingress.host: the name by which clients reach"),
    "an Ingress for a URL": ({"ingress": {"enabled": True, "host": "https://s3.example.com"}}, "/ingress/host"),
    "an HTTPRoute without a Gateway": ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: the Gateways"),
    "a mode of TLS that is none": ({"gateway": {"tls": {"mode": "letsencrypt"}}}, "/gateway/tls/mode"),
    "TLS with a Secret that is not named": (
        {"gateway": {"tls": {"mode": "secret"}}},
        "gateway.tls.secretName: the Secret",
    ),
    "an issuer that is not named": (
        {"gateway": {"tls": {"mode": "certManager"}}},
        "gateway.tls.certManager.issuerRef.name: the issuer",
    ),
    "a host name that is none": ({"gateway": {"tls": {"dnsNames": ["s3/"]}}}, "/gateway/tls/dnsNames/0"),
    "a namespace twice": ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[str]:
    """Of those that allow Pods of the strictest kind only."""
    kubectl = [str(kubeconfig.parent / "kubectl"), "--kubeconfig", str(kubeconfig)]
    subprocess.run([*kubectl, "create", "namespace", NAMESPACE], check=True, capture_output=True)
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("warn", "enforce")]
    subprocess.run([*kubectl, "label", "namespace", NAMESPACE, *labels], check=True, capture_output=True)
    yield NAMESPACE
    subprocess.run([*kubectl, "delete", "namespace", NAMESPACE, "--wait=false"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def others(kubeconfig: Path) -> Iterator[None]:
    """The cluster has the kinds that others bring."""
    kubectl = [str(kubeconfig.parent / "kubectl"), "--kubeconfig", str(kubeconfig)]
    kinds = json.dumps({"apiVersion": "v1", "kind": "List", "items": of_others()}).encode()
    subprocess.run([*kubectl, "apply", "--server-side", "-f", "-"], input=kinds, check=True, capture_output=True)
    established = ("wait", ESTABLISHED, "--timeout=30s", "-f", "-")
    subprocess.run([*kubectl, *established], input=kinds, check=True, capture_output=True)
    yield
    subprocess.run([*kubectl, "delete", "-f", "-"], input=kinds, check=True, capture_output=True)


def test_lint(charts: Helm) -> None:
    assert "0 chart(s) failed" in charts("lint", "--strict", str(CHART), values=EVERYTHING)


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.usefixtures("namespace", "others")
def test_the_api_server_takes_every_object(charts: Helm, kubeconfig: Path, case: str) -> None:
    _is_taken(charts.rendered(VALUES[case]), kubeconfig)


def _is_taken(objects: list[dict[str, Any]], kubeconfig: Path) -> None:
    """By the API server, without a warning, as of Pods that are not restricted."""
    command = [str(kubeconfig.parent / "kubectl"), "--kubeconfig", str(kubeconfig), "apply", "--server-side"]
    done = subprocess.run(
        [*command, "--dry-run=server", "--force-conflicts", "-f", "-"],
        # As JSON: two readers of YAML need not agree on what 1e3 is.
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(objects)


@pytest.mark.parametrize("case", VALUES)
def test_nothing_is_made_up_anew_at_each_rendering(charts: Helm, case: str) -> None:
    objects = charts.rendered(VALUES[case])
    assert objects == charts.rendered(VALUES[case])
    assert "Secret" not in {each["kind"] for each in objects}


#: Keys of what is a text, and of maps of texts.
_TEXTS = {"name", "namespace", "host", "region", "secretName", "claimName", "storage", "instance"}
_TEXTS |= {"ingressClassName", "priorityClassName", "storageClassName", "group", "kind"}
_MAPS_OF_TEXTS = ("labels", "matchLabels", "annotations")


def _no_texts(within: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values that are to be texts and are none."""
    for key, value in within.items() if isinstance(within, dict) else enumerate(within):
        if key in _MAPS_OF_TEXTS:
            yield from ((name, each) for name, each in value.items() if not isinstance(each, str))
        elif isinstance(value, dict | list):
            yield from _no_texts(value)
        elif (key in _TEXTS or isinstance(within, list)) and not isinstance(value, str):
            yield str(key), value


def test_a_name_is_a_text_whatever_it_is(charts: Helm) -> None:
    case = VALUES["names that YAML takes for something else"]
    issuer = {"issuerRef": {"name": "5", "group": "1", "kind": "no"}}
    tls = {"mode": "certManager", "secretName": "3", "certManager": issuer}
    gateway = {"persistence": {"existingClaim": "9"}, "tls": tls}
    for values in (case, case | {"gateway": gateway, "watchNamespaces": ["on", "9"]}):
        objects = charts.rendered(values, release="123", namespace="456")
        region = yaml.safe_load(_found(objects, "ConfigMap", "s3-operator")["data"]["region.yaml"])
        checked = [region, *(each for each in objects if each["kind"] != "CustomResourceDefinition")]
        assert [found for each in checked for found in _no_texts(each)] == []


def test_a_release_may_have_periods_in_its_name(charts: Helm) -> None:
    """No Service may."""
    objects = charts.rendered(release="s3.example")
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "Service"} == {
        "s3-example-cooper-gateway",
        "s3-example-cooper-gateway-pods",
        "s3-example-cooper-operator",
    }


def test_without_a_gateway_nothing_speaks_of_one(charts: Helm) -> None:
    objects = charts.rendered(VALUES["no gateway, and no kinds"])
    assert not [each["metadata"]["name"] for each in objects if "-gateway" in each["metadata"]["name"]]
    (rules,) = _found(objects, "PrometheusRule", "release-cooper")["spec"]["groups"]
    assert [each["alert"] for each in rules["rules"]] == ["CooperNobodyLeads", "CooperOperatorFallsBehind"]


def test_a_version_may_name_its_build(charts: Helm, tmp_path: Path) -> None:
    """With a plus, which no label may have."""
    charts(
        "package", str(CHART), "--version", "1.2.3+abc", "--app-version", "4.5.6+def", "--destination", str(tmp_path)
    )
    text = charts("template", "release", str(tmp_path / "cooper-1.2.3+abc.tgz"))
    labels = [each["metadata"]["labels"] for each in yaml.safe_load_all(text)]
    assert {each["helm.sh/chart"] for each in labels} == {"cooper-1.2.3_abc"}
    assert {each["app.kubernetes.io/version"] for each in labels} == {"4.5.6_def"}


def test_the_kinds_stay_when_the_release_goes(charts: Helm) -> None:
    kinds = [each for each in charts.rendered() if each["kind"] == "CustomResourceDefinition"]
    assert {each["spec"]["names"]["kind"] for each in kinds} == {"Region", "Bucket", "BucketGrant", "AccessKey"}
    assert {each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in kinds} == {"keep"}


def _of_a_region() -> tuple[dict[str, Any], dict[str, Any]]:
    """Schemas: of what values say of the Region, and of the spec that the kind has."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    kind = yaml.safe_load((CHART / "files" / "crds" / "cooper.dev_regions.yaml").read_text())
    spec = kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema["properties"]["region"]["properties"], spec["properties"]


def test_what_a_region_refuses_values_refuse() -> None:
    values, fields = _of_a_region()
    assert values["tag"]["pattern"] == pattern_of(fields["tag"])
    for name, endpoint in (("internalEndpoint", "internal"), ("publicEndpoint", "public")):
        pattern = pattern_of(fields["endpoints"]["properties"][endpoint])
        assert pattern is not None
        assert values[name]["pattern"] == f"^({pattern.removeprefix('^').removesuffix('$')})?$"


def test_every_field_of_a_region_may_be_set(charts: Helm) -> None:
    spec = samples.full("Region")["spec"]
    assert _region(charts.rendered({"region": {"spec": spec}})) == spec


def _paths(within: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in within.items():
        yield above + name
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")


_PATHS = list(_paths(yaml.safe_load((CHART / "values.yaml").read_text())))
#: With all that a value can matter to.
_ALL_ON = ("ingress", "httpRoute", "networkPolicy")
_ALL_ON += ("metrics.serviceMonitor", "metrics.prometheusRule", "metrics.grafanaDashboard")


@pytest.mark.usefixtures("namespace", "others")
def test_a_value_of_null_is_refused_or_is_nothing(charts: Helm, kubeconfig: Path) -> None:
    """Helm drops it, and templates find none."""
    enabled = ",".join(f"{each}.enabled=true" for each in _ALL_ON)
    said = {path: _said_of(charts, f"{enabled},{path}=null") for path in _PATHS}
    wanted = {"ingress.host": "ingress.host: the name", "httpRoute.parentRefs": "httpRoute.parentRefs: the Gateways"}
    for path, message in said.items():
        assert wanted.get(path, f"missing property '{path.rpartition('.')[2]}'") in message or not message, path
    assert [path for path in ("gateway", "gateway.workers", "region.name", "operator.replicas") if not said[path]] == []
    nothing: dict[str, Any] = {each.partition(".")[0]: {} for each in _ALL_ON}
    for path in (each for each in said if not said[each] and not each.endswith(".enabled")):
        _set(nothing, path.split("."), None)
    assert nothing["watchNamespaces"] is nothing["region"]["spec"] is nothing["ingress"]["annotations"] is None
    for path in _ALL_ON:
        _set(nothing, [*path.split("."), "enabled"], True)
    nothing["ingress"]["host"] = "s3.example.com"
    nothing["httpRoute"]["parentRefs"] = [{"name": "public"}]
    _is_taken(charts.rendered(nothing), kubeconfig)


def _set(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set what is not within nothing already."""
    for name in path[:-1]:
        values = values.setdefault(name, {})
        if values is None:
            return
    values[path[-1]] = value


def _said_of(charts: Helm, values: str) -> str:
    """What helm says against values; nothing when it takes them."""
    needed = "ingress.host=s3.example.com,httpRoute.parentRefs[0].name=public"
    try:
        charts("template", "release", str(CHART), "--set", f"{needed},{values}")
    except HelmFailed as failed:
        return str(failed)
    return ""


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(charts: Helm, case: str) -> None:
    values, said = WRONG[case]
    with pytest.raises(HelmFailed) as failed:
        charts.rendered(values)
    assert said in str(failed.value)


def _rules(objects: list[dict[str, Any]], kinds: tuple[str, ...], account: str) -> set[tuple[str, str, str, str]]:
    """Namespace, group, resource and verb of all that an account may do."""
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each["rules"]
        for each in objects
        if each["kind"] in kinds
    }
    found: set[tuple[str, str, str, str]] = set()
    for binding in (each for each in objects if each["kind"] in {f"{kind}Binding" for kind in kinds}):
        (subject,) = binding["subjects"]
        assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
        if subject["name"] != account:
            continue
        namespace = binding["metadata"].get("namespace", "")
        for rule in roles[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]:
            triples = itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
            found |= {(namespace, *triple) for triple in triples}
    return found


def _of(rows: rights.Rows, namespace: str) -> set[tuple[str, str, str, str]]:
    return {(namespace, group, what, verb) for group, whats, verbs in rows for what in whats for verb in verbs}


def test_the_rights_are_those_that_the_tests_get_by_with(charts: Helm) -> None:
    """Operator and gateways run with those in all other tests: one more here would be one too many."""
    objects = charts.rendered()
    kinds = ("ClusterRole", "Role")
    operator = _rules(objects, kinds, "release-cooper-operator")
    # In its own namespace it may do to Secrets what it may everywhere.
    own = {each for each in operator if each[0] == NAMESPACE and each[2] == "secrets"}
    assert {("", *each[1:]) for each in own} <= operator
    everywhere = _of(rights.EVERYWHERE, "") | _of(rights.ROLL_OUTS, "")
    assert operator - own == everywhere | _of(rights.WITH_RECORDS, NAMESPACE)
    assert _rules(objects, kinds, "release-cooper-gateway") == _of(rights.GATEWAY, NAMESPACE)


def test_without_the_whole_cluster_nothing_is_granted_but_where_it_was_named(charts: Helm) -> None:
    objects = charts.rendered({"watchNamespaces": ["default", "kube-public"]})
    granted = _rules(objects, ("ClusterRole", "Role"), "release-cooper-operator")
    assert {each[2] for each in granted if each[0] == ""} == {"regions", "regions/status", "namespaces"}
    (which,) = [
        rule["resourceNames"]
        for each in objects
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
        if rule["resources"] == ["namespaces"]
    ]
    assert which == ["default", "kube-public"]
    assert {each[0] for each in granted if each[2] == "secrets"} == {"default", "kube-public", NAMESPACE}
    everywhere = _of(rights.EVERYWHERE, "") | _of(rights.ROLL_OUTS, "")
    for namespace in ("default", "kube-public"):
        here = {("", *each[1:]) for each in granted if each[0] == namespace}
        assert here == {each for each in everywhere if not each[2].startswith(("regions", "namespaces"))}


def _found(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def _arguments(objects: list[dict[str, Any]], kind: str, part: str) -> list[str]:
    pod = _found(objects, kind, f"release-cooper-{part}")["spec"]["template"]["spec"]
    return [each for each in pod["containers"][0]["args"] if each.startswith("--tls")]


def _region(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return yaml.safe_load(_found(objects, "ConfigMap", "release-cooper-operator")["data"]["region.yaml"])["spec"]


_SERVICE = f"release-cooper-gateway.{NAMESPACE}.svc"
_SERVICE_NAMES = [
    _SERVICE,
    "release-cooper-gateway",
    f"release-cooper-gateway.{NAMESPACE}",
    f"{_SERVICE}.cluster.local",
    "localhost",
]
#: Values; the Secret that the gateway mounts; the internal endpoint; hosts of a certificate that the operator makes.
TLS: dict[str, tuple[str | None, str, list[str]]] = {
    "as they are": (None, f"http://{_SERVICE}:9000", []),
    "TLS with a Secret": ("mine", f"https://{_SERVICE}:9000", []),
    "TLS by cert-manager": ("made", f"https://{_SERVICE}:9000", []),
    "TLS that the operator makes": (
        "release-cooper-gateway-tls",
        "https://s3.internal:9000",
        [*_SERVICE_NAMES, "s3.internal", "s3.example.com"],
    ),
    "TLS that the operator makes for other names": (
        "release-cooper-gateway-tls",
        f"https://{_SERVICE}:9000",
        ["*.s3.example.com", "10.0.0.1"],
    ),
    "TLS that something before the gateway ends": (None, "https://s3.example.com", []),
    "TLS before the gateway, as the Region's spec says": (None, "https://s3.example.com", []),
    "TLS that the operator makes for what the Region's spec says": (
        "release-cooper-gateway-tls",
        f"https://{_SERVICE}:9000",
        [*_SERVICE_NAMES, "s3.example.com"],
    ),
}


@pytest.mark.parametrize("case", TLS)
def test_everybody_knows_of_tls(charts: Helm, case: str) -> None:
    secret, endpoint, hosts = TLS[case]
    objects = charts.rendered(VALUES[case])
    options = ["--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key"]
    assert _arguments(objects, "StatefulSet", "gateway") == (options if secret else [])
    pod = _found(objects, "StatefulSet", "release-cooper-gateway")["spec"]["template"]["spec"]
    mounted = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    assert mounted == ([secret] if secret else [])
    told = [f"--tls-secret={secret}"] if secret else []
    assert _arguments(objects, "Deployment", "operator") == [*told, *(f"--tls-generate={host}" for host in hosts)]
    region = _region(objects)
    assert region["endpoints"]["internal"] == endpoint
    ended_before = endpoint.startswith("https") and not secret
    assert region["service"].get("scheme") == ("http" if ended_before else None)
    port = _found(objects, "Service", "release-cooper-gateway")["spec"]["ports"][0]
    assert port.get("appProtocol") == ("https" if secret else None)


def test_cert_manager_is_asked_for_every_name(charts: Helm) -> None:
    objects = charts.rendered(VALUES["TLS by cert-manager"])
    asked = _found(objects, "Certificate", "release-cooper-gateway")
    assert asked["spec"] == {
        "secretName": "made",
        "dnsNames": [*_SERVICE_NAMES, "s3.example.com"],
        "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "internal"},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth"],
        "duration": "2160h",
        "renewBefore": "360h",
    }
    annotations = _found(objects, "Ingress", "release-cooper-gateway")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"


def test_names_of_all_buckets_are_led_to_the_gateway_and_certified(charts: Helm) -> None:
    objects = charts.rendered(VALUES["buckets with host names"])
    every = ["s3.example.com", "*.s3.example.com"]
    ingress = _found(objects, "Ingress", "release-cooper-gateway")["spec"]
    assert [each["host"] for each in ingress["rules"]] == ingress["tls"][0]["hosts"] == every
    assert ingress["rules"][0]["http"] == ingress["rules"][1]["http"]
    assert _found(objects, "HTTPRoute", "release-cooper-gateway")["spec"]["hostnames"] == every
    made = [each for each in _arguments(objects, "Deployment", "operator") if each.startswith("--tls-generate=")]
    assert made == [f"--tls-generate={host}" for host in (*_SERVICE_NAMES, *every)]
    plain = charts.rendered(VALUES["TLS by cert-manager"])
    assert len(_found(plain, "Ingress", "release-cooper-gateway")["spec"]["rules"]) == 1
    # Where clients come by another name as well, the domain itself is led there too: boto3 asks it.
    named = {"ingress": {"enabled": True, "host": "in.example.com"}}
    apart = charts.rendered({**named, "region": {"spec": {"features": {"virtualHosts": "s3.example.com"}}}})
    rules = _found(apart, "Ingress", "release-cooper-gateway")["spec"]["rules"]
    assert [each["host"] for each in rules] == ["in.example.com", *every]


def test_a_collector_is_told_and_what_it_asks_for_is_no_argument(charts: Helm) -> None:
    traces = {"collector": "http://collector:4318", "share": 0.5, "headersSecret": "collector"}
    container = _gateway_container(charts.rendered({"gateway": {"traces": traces}}))
    assert {"--traces=http://collector:4318", "--traces-share=0.5"} <= set(container["args"])
    secret = {"secretKeyRef": {"name": "collector", "key": "headers"}}
    assert container["env"] == [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": secret}]
    assert "env" not in _gateway_container(charts.rendered({"gateway": {"traces": {"headersSecret": "collector"}}}))


def _gateway_container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (container,) = _found(objects, "StatefulSet", "release-cooper-gateway")["spec"]["template"]["spec"]["containers"]
    return container


def test_a_region_without_a_spec_is_rendered(charts: Helm) -> None:
    assert charts.rendered({"region": {"spec": None}})


def test_an_ingress_says_otherwise_where_it_is_told_to(charts: Helm) -> None:
    ingress = _found(charts.rendered(EVERYTHING), "Ingress", "s3-gateway")
    assert ingress["metadata"]["annotations"] == {
        "a": "b",
        "nginx.ingress.kubernetes.io/proxy-body-size": "1g",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    }


@pytest.mark.parametrize("namespaces", [[], ["default"]])
@pytest.mark.parametrize(
    ("values", "may"),
    [
        ({}, False),
        ({"region": {"spec": {"features": {"matchRegion": True}}}}, False),
        ({"region": {"spec": {"features": {"createBucket": False}}}}, False),
        ({"region": {"spec": {"features": {"createBucket": True}}}}, True),
        ({"operator": {"createBuckets": True}}, True),
    ],
)
def test_making_buckets_is_for_where_they_are_made_over_s3(
    charts: Helm, namespaces: list[str], values: dict[str, Any], may: bool
) -> None:
    objects = charts.rendered({"watchNamespaces": namespaces, **values})
    granted = _rules(objects, ("ClusterRole", "Role"), "release-cooper-operator")
    usual = _rules(charts.rendered({"watchNamespaces": namespaces}), ("ClusterRole", "Role"), "release-cooper-operator")
    where = namespaces[0] if namespaces else ""
    assert granted - usual == (_of(rights.CREATING, where) if may else set())


@pytest.mark.parametrize("namespaces", [[], ["default"]])
def test_restarting_workloads_is_a_role_that_can_be_left_out(charts: Helm, namespaces: list[str]) -> None:
    objects = charts.rendered({"watchNamespaces": namespaces, "operator": {"restartWorkloads": False}})
    granted = _rules(objects, ("ClusterRole", "Role"), "release-cooper-operator")
    assert not {each for each in granted if each[1] == "apps"}
    assert {each[2] for each in granted} >= {"buckets", "secrets"}
