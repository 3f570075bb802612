"""Regions: which one a resource belongs to, and the record that tells its gateways what they need."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cooper_crds.names import region_record_name
from cooper_crds.records import Rates, RegionRecord
from cooper_crds.region import MAX_RECORD_AGE, Limits, Region, RegionStatus
from cooper_crds.stored import StoredRecord
from cooper_operator.plan import region_gateways
from cooper_operator.plan.plan import Plan, Say, conditions, until_blocked
from cooper_operator.plan.reasons import (
    DEFAULT_REGION_AMBIGUOUS,
    REGION_NOT_FOUND,
    SETTINGS_RECORDED,
    Reason,
)
from cooper_operator.plan.region_gateways import Standing
from cooper_operator.plan.snapshot import RegionSnapshot, Surroundings
from cooper_operator.plan.steps import CreateRecord, DeleteRecord, Step, UpdateRecord

#: A manifest to paste, for who has none.
_A_REGION: Final = (
    "{apiVersion: cooper.dev/v1alpha1, kind: Region, metadata: {name: local}, spec: {tag: local, default: true}}"
)


@dataclass(frozen=True, slots=True)
class Home:
    """The Region of a resource. `record` serves deletion and revocation also when the Region itself is gone."""

    name: str
    region: Region | None
    record: RegionRecord | None
    endpoint: str
    problem: tuple[Reason, str] | None = None


def region_record(region: Region, default_endpoint: str = "") -> RegionRecord:
    """A Region's settings as its gateways need them, where those are, and how they are spoken to.

    `default_endpoint` is that of a Region which names none.
    """
    spec = region.spec
    endpoint = urlsplit(endpoint_of(region, default_endpoint))
    tls_name = endpoint.hostname or "" if (spec.service.scheme or endpoint.scheme) == "https" else ""
    return RegionRecord(
        name=region.metadata.name,
        tag=spec.tag,
        list_objects_v1=spec.features.list_objects_v1,
        match_region=spec.features.match_region,
        virtual_hosts=spec.features.virtual_hosts or "",
        create_buckets=spec.features.create_bucket,
        max_object_size=spec.limits.max_object_size,
        max_metadata_size=spec.limits.max_metadata_size,
        rates=_rates(spec.limits),
        idle_uploads=spec.limits.idle_uploads,
        max_record_age=spec.max_record_age,
        trusted_proxies=tuple(spec.trusted_proxies or ()),
        service=spec.service.name or region.metadata.name,
        service_port=spec.service.port,
        tls_name=tls_name,
        ca_bundle=spec.ca_bundle or "" if tls_name else "",
    )


def _rates(limits: Limits) -> Rates | None:
    if limits.requests_per_second is None and limits.bytes_per_second is None:
        return None
    return Rates(limits.requests_per_second, limits.bytes_per_second)


def endpoint_of(region: Region, default_endpoint: str) -> str:
    """What Secrets carry; empty where nothing is known."""
    return region.spec.endpoints.internal or default_endpoint


def unread(record: RegionRecord, now: float, former: float = MAX_RECORD_AGE) -> RegionRecord:
    """The record where gateways may go by another one, with a longer `max_record_age` of `former` seconds, until
    they have read it."""
    return msgspec.structs.replace(record, longer_age_until=max(record.longer_age_until, now + former))


def _told(wanted: RegionRecord, told: RegionRecord | None) -> RegionRecord:
    """What gateways go by: they may not have read yet that they are to give up sooner than they were told."""
    if told is None:
        return wanted
    age = max(wanted.max_record_age, told.max_record_age)
    return msgspec.structs.replace(wanted, max_record_age=age, longer_age_until=told.longer_age_until)


def find_home(named: str | None, around: Surroundings) -> Home:
    """The Region that a resource belongs to: the one it names, else the one that is marked as the default."""
    if named is not None:
        candidates = [region for region in around.regions if region.metadata.name == named]
        problem = (REGION_NOT_FOUND, f"there is no Region {named}")
    else:
        candidates = [region for region in around.regions if region.spec.default]
        missing = (
            "no Region is marked as the default" if around.regions else f"there is none: make one, such as {_A_REGION}"
        )
        problem = (REGION_NOT_FOUND, f"spec.region names no Region and {missing}")
    if len(candidates) == 1:
        region = candidates[0]
        record = _told(region_record(region, around.default_endpoint), around.recorded)
        return Home(region.metadata.name, region, record, endpoint_of(region, around.default_endpoint))
    if len(candidates) > 1:
        names = ", ".join(sorted(region.metadata.name for region in candidates))
        problem = (DEFAULT_REGION_AMBIGUOUS, f"spec.region names no Region and {names} are all marked as the default")
    return Home(named or "", None, around.recorded, "", problem)


def plan_region(snapshot: RegionSnapshot) -> Plan[RegionStatus]:
    """Keep the Region's record as its resource says, and say how its gateways stand; take the record away when the
    Region is gone and nothing lives there."""
    region, found = snapshot.region, snapshot.record
    if region is None:
        return Plan((DeleteRecord(found),) if found is not None and not snapshot.in_use else (), None)
    steps, record = _record_steps(snapshot, region)
    before = region.status or RegionStatus()
    if snapshot.gateways.soon and before.conditions:
        return Plan(tuple(steps), before, retry=True)  # what was said last stands until somebody knows better
    generation, blocked = region.metadata.generation, snapshot.blocked
    gateways = region_gateways.plan(snapshot.gateways, record, bool(steps), before.conditions, generation, blocked)
    status = _status(snapshot, region, gateways)
    again = blocked is not None or not snapshot.gateways.told
    return Plan(until_blocked([*steps, *gateways.steps], blocked), status, retry=again)


def _record_steps(snapshot: RegionSnapshot, region: Region) -> tuple[list[Step], RegionRecord]:
    """What to do about the record, and what it says then."""
    record, found = region_record(region, snapshot.default_endpoint), snapshot.record
    if found is None:
        return [CreateRecord(region_record_name(region.metadata.name), record)], record
    wanted = _following(found, record, snapshot.now)
    return [] if found.record == wanted else [UpdateRecord(found, wanted)], wanted


def _following(found: StoredRecord, wanted: RegionRecord, now: float) -> RegionRecord:
    """What the record is to say after what it said."""
    before = found.record
    if not isinstance(before, RegionRecord):
        return wanted
    wanted = msgspec.structs.replace(wanted, longer_age_until=before.longer_age_until)
    shorter = wanted.max_record_age < before.max_record_age
    return unread(wanted, now, before.max_record_age) if shorter else wanted


def _status(snapshot: RegionSnapshot, region: Region, gateways: Standing) -> RegionStatus:
    before = region.status or RegionStatus()
    generation, seen = region.metadata.generation, snapshot.gateways
    said = _ready(snapshot, region, gateways), gateways.said
    return RegionStatus(
        observed_generation=generation,
        conditions=conditions(before.conditions, said, snapshot.now, generation),
        endpoint=endpoint_of(region, snapshot.default_endpoint) or None,
        gateways=None if seen.unknown else f"{len(seen.ready)}/{seen.count}",
    )


def _ready(snapshot: RegionSnapshot, region: Region, gateways: Standing) -> Say:
    defaults = sorted(each.metadata.name for each in snapshot.all_regions if each.spec.default)
    if region.spec.default and len(defaults) > 1:
        return Say("Ready", "False", DEFAULT_REGION_AMBIGUOUS, f"{', '.join(defaults)} are all marked as the default")
    if gateways.nobody is not None:
        return Say("Ready", "Unknown" if gateways.said.status == "Unknown" else "False", *gateways.nobody)
    return Say("Ready", "True", SETTINGS_RECORDED, "the settings are recorded, and gateways serve by them")
