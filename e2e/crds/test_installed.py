"""The CRDs as the server has them."""

import json
from typing import Any

import pytest

from e2e.crds.schemas import DEFINITIONS, schema_of
from e2e.kubectl import Kubectl


@pytest.fixture
async def found(kubectl: Kubectl, installed: None, kind: str) -> dict[str, Any]:
    return json.loads(await kubectl("get", "crd", DEFINITIONS[kind]["metadata"]["name"], "-o", "json"))


@pytest.mark.parametrize("kind", DEFINITIONS)
async def test_it_is_established_and_structural(found: dict[str, Any], kind: str) -> None:
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True")
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert conditions.get("Terminating", "False") == "False"
    assert found["status"]["storedVersions"] == ["v1alpha1"]


@pytest.mark.parametrize("kind", DEFINITIONS)
async def test_the_server_took_all_of_it(found: dict[str, Any], kind: str) -> None:
    """Nothing of the schema was passed over."""
    version = found["spec"]["versions"][0]
    assert version["schema"]["openAPIV3Schema"] == schema_of(kind)
    assert version["additionalPrinterColumns"] == DEFINITIONS[kind]["spec"]["versions"][0]["additionalPrinterColumns"]
