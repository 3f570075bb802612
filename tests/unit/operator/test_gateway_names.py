"""By which name, and whom to trust for it, a Region's gateways are known over TLS."""

from typing import Any

import pytest

from cooper_crds.manifest import parse
from cooper_crds.region import Region
from cooper_operator.gateways.tls import Tls, tls_of
from cooper_operator.plan.region import find_home, plan_region, region_record
from cooper_operator.plan.snapshot import RegionSnapshot, Surroundings
from cooper_operator.plan.steps import CreateRecord
from support.tls import authority

ENDPOINT = "http://127.0.0.1:9000"
CERTIFICATE = authority().certificate

#: The Region's spec, the endpoint of one that names none, and the name that its gateways' certificate is to have.
NAMES = {
    "plain": ({}, ENDPOINT, ""),
    "by its endpoint": ({"endpoints": {"internal": "https://S3.example.com:9000"}}, ENDPOINT, "s3.example.com"),
    "an address": ({"endpoints": {"internal": "https://[::1]:9000"}}, ENDPOINT, "::1"),
    "by that of one that names none": ({}, "https://127.0.0.1:9000", "127.0.0.1"),
    "its own counts": ({"endpoints": {"internal": "http://s3"}}, "https://127.0.0.1:9000", ""),
    "something before it ends TLS": ({"endpoints": {"internal": "https://s3"}, "service": {"scheme": "http"}}, "", ""),
    "something before it has none": (
        {"endpoints": {"internal": "http://s3"}, "service": {"scheme": "https"}},
        "",
        "s3",
    ),
    "no endpoint": ({"service": {"scheme": "https"}}, "", ""),
}


def region(**spec: Any) -> Region:
    manifest = {"apiVersion": "cooper.dev/v1alpha1", "kind": "Region", "metadata": {"name": "local", "uid": "u"}}
    found = parse({**manifest, "spec": {"tag": "local", "default": True, "caBundle": CERTIFICATE, **spec}})
    assert isinstance(found, Region)
    return found


@pytest.mark.parametrize("case", NAMES)
def test_the_record_tells_how_gateways_are_known(case: str) -> None:
    spec, default, name = NAMES[case]
    record = region_record(region(**spec), default)
    assert (record.tls_name, record.ca_bundle) == (name, CERTIFICATE if name else "")
    assert tls_of(record) == (Tls(name, CERTIFICATE) if name else None)


@pytest.mark.parametrize("case", NAMES)
def test_whoever_makes_it_makes_the_same(case: str) -> None:
    spec, default, _ = NAMES[case]
    found = region(**spec)
    record = region_record(found, default)
    plan = plan_region(RegionSnapshot("local", found, (found,), None, True, default, 1_800_000_000.0))
    assert [step.record for step in plan.steps if isinstance(step, CreateRecord)] == [record]
    assert find_home(None, Surroundings((found,), None, default)).record == record
