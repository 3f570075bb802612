import copy

import pytest
import yaml

from cooper_crds.manifest import KINDS
from cooper_crds.schema import custom_resource_definition
from support.structural import problems_of, value_problems


def schema_of(kind):
    version = custom_resource_definition(kind)["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_are_structural_bounded_and_consistent(kind):
    assert problems_of(schema_of(kind)) == []


def put(path, value):
    def change(schema):
        *steps, last = path
        node = schema
        for step in steps:
            node = node[step]
        if value is None:
            del node[last]
        else:
            node[last] = value

    return change


SPEC = ("properties", "spec", "properties")
REGION = (*SPEC, "region")
GRANTS = (*SPEC, "grants")
RULE = {"rule": "self.nowhere == 1", "message": "no"}

# Of a change to AccessKey's good schema: what has to be found.
BROKEN = [
    (put((*REGION, "type"), None), ".spec.region: has no type"),
    (put((*GRANTS, "items", "type"), None), ".spec.grants[items]: has no type"),
    (put(("type",), None), ".: has no type"),
    (put((*REGION, "type"), "text"), ".spec.region: has no type"),
    (put((*REGION, "$ref"), "#/definitions/x"), ".spec.region: $ref is not supported"),
    (put(("definitions",), {"x": {}}), ".: definitions is not supported"),
    (put((*REGION, "anyOf"), [{"type": "string"}, {"type": "null"}]), "type inside of anyOf"),
    (put((*REGION, "allOf"), [{"description": "x"}]), "description inside of anyOf"),
    (put((*REGION, "not"), {"default": "x"}), "default inside of anyOf"),
    (put((*REGION, "oneOf"), [{"nullable": True}]), "nullable inside of anyOf"),
    (put((*GRANTS, "items", "anyOf"), [{"properties": {"other": {}}}]), "other is only inside"),
    (put((*REGION, "anyOf"), [{"items": {}}]), "items is only inside"),
    (put((*GRANTS, "uniqueItems"), True), "uniqueItems is set"),
    (put(("properties", "spec", "additionalProperties"), False), "additionalProperties is false"),
    (put(("properties", "spec", "additionalProperties"), {"type": "string"}), "exclude one another"),
    (put((*GRANTS, "items"), None), "says what its items are"),
    (put(("properties", "spec", "required"), ["nothing"]), "requires nothing"),
    (put((*REGION, "maxLength"), None), ".spec.region: a string without maxLength"),
    (put((*GRANTS, "maxItems"), None), ".spec.grants: an array without maxItems"),
    (put((*REGION, "description"), None), ".spec.region: has no description"),
    (put((*REGION, "default"), "Not A Name"), ".spec.region: the default is not valid"),
    (put((*REGION, "default"), 3), "has the wrong type"),
    (put((*SPEC, "state", "default"), "Asleep"), "is not in the enum"),
    (
        put(
            ("properties", "spec", "properties", "grants", "x-kubernetes-validations"),
            [{"rule": "self.all(g, g.namespace == 'a')", "message": "m"}],
        ),
        "the rule names g.namespace, which does not exist",
    ),
    (put(("properties", "spec", "default"), {"restart": [{"kind": "Deployment"}]}), "name: is required"),
    (put((*REGION, "x-kubernetes-int-or-string"), True), "exclude one another"),
    (put((*GRANTS, "x-kubernetes-list-type"), "set"), "a set holds single values"),
    (put((*GRANTS, "x-kubernetes-list-type"), "map"), "has x-kubernetes-list-map-keys"),
    (put((*REGION, "x-kubernetes-list-type"), "atomic"), "does not fit"),
    (put(("properties", "spec", "x-kubernetes-validations"), [RULE]), "names self.nowhere"),
    (put((*GRANTS, "x-kubernetes-validations"), [{"rule": "self.all(g, g.name != '')", "message": "x"}]), "g.name"),
    (put((*REGION, "x-kubernetes-validations"), [{"rule": "true"}]), "a message of one line"),
    (
        put(("x-kubernetes-validations",), [{"rule": "true", "message": "x", "fieldPath": ".spec.nowhere"}]),
        "fieldPath .spec.nowhere does not exist",
    ),
    (put(("properties", "metadata", "properties"), {"labels": {"type": "object"}}), "restricts more than name"),
]


@pytest.mark.parametrize(("change", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_a_schema_that_breaks_a_rule_is_found(change, problem):
    schema = copy.deepcopy(schema_of("AccessKey"))
    change(schema)
    assert problem in "\n".join(problems_of(schema))


@pytest.mark.parametrize("example", ["quickstart.yaml", "keys.yaml"])
def test_the_examples_are_valid_by_the_schemas(example, repository):
    # Kubernetes takes an unquoted time for text: so does a loader that knows no types.
    for document in yaml.load_all((repository / "examples" / example).read_text(), _JsonLoader):
        assert list(value_problems(schema_of(document["kind"]), document, "")) == []


class _JsonLoader(yaml.SafeLoader):
    pass


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def test_a_region_has_a_name_that_fits_a_label():
    assert schema_of("Region")["properties"]["metadata"]["properties"] == {"name": {"type": "string", "maxLength": 63}}


def test_an_atomic_list_has_no_defaults_inside():
    grants = schema_of("AccessKey")["properties"]["spec"]["properties"]["grants"]
    assert grants["x-kubernetes-list-type"] == "atomic"
    assert "default" not in grants["items"]["properties"]["actions"]
    credentials = schema_of("Bucket")["properties"]["spec"]["properties"]["credentials"]
    assert len(credentials["properties"]["actions"]["default"]) == 5


def columns(kind):
    version = custom_resource_definition(kind)["spec"]["versions"][0]
    return version["additionalPrinterColumns"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_show_fields_that_exist(kind):
    for column in columns(kind):
        node = schema_of(kind)
        path = column["jsonPath"]
        if path.startswith(".metadata"):
            continue
        for step in path.split("[")[0].removeprefix(".").split("."):
            node = node["properties"][step]


@pytest.mark.parametrize(
    ("kind", "names", "wide"),
    [
        ("Region", ["Ready", "Gateways", "Tag", "Default", "Endpoint", "Age"], ["Reason"]),
        ("Bucket", ["Ready", "Region", "Visibility", "Objects", "Size", "Secret", "Age"], ["S3 Name", "Reason"]),
        ("BucketGrant", ["Ready", "From", "Buckets", "Age"], ["Reason"]),
        ("AccessKey", ["Ready", "State", "Key ID", "Secret", "Expires", "Age"], ["Reason"]),
    ],
)
def test_columns_of_kubectl_get(kind, names, wide):
    assert [column["name"] for column in columns(kind) if not column.get("priority")] == names
    assert [column["name"] for column in columns(kind) if column.get("priority")] == wide


@pytest.mark.parametrize(
    ("kind", "name", "scope", "short"),
    [
        ("Region", "regions.cooper.dev", "Cluster", None),
        ("Bucket", "buckets.cooper.dev", "Namespaced", ["bkt"]),
        ("BucketGrant", "bucketgrants.cooper.dev", "Namespaced", ["bg"]),
        ("AccessKey", "accesskeys.cooper.dev", "Namespaced", ["ak"]),
    ],
)
def test_names_scope_and_status_subresource(kind, name, scope, short):
    crd = custom_resource_definition(kind)
    assert crd["metadata"]["name"] == name
    assert crd["spec"]["scope"] == scope
    assert crd["spec"]["names"].get("shortNames") == short
    assert crd["spec"]["names"]["categories"] == ["cooper"]
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}
