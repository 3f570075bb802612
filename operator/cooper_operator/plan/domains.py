"""Host names of a Bucket's own: who may have one, who has it, and when it is given up.

A name is claimed by creating the record of that name, create-only, so that of two that want it one has it. It stays
that one's until its Bucket goes, no longer asks for it, or may no longer have it by its Region: each look asks anew.
Whose a name is that is taken is told to nobody.
"""

from dataclasses import dataclass
from typing import Final

from cooper_crds.bucket import BucketStatus
from cooper_crds.conditions import Condition, drop_conditions
from cooper_crds.host_names import is_under
from cooper_crds.names import domain_record_name
from cooper_crds.records import BucketRecord, DomainRecord
from cooper_crds.region import Region, host_of
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.plan import Say, conditions
from cooper_operator.plan.reasons import (
    DELETING,
    DOMAIN_NOT_ALLOWED,
    DOMAIN_TAKEN,
    DOMAINS_CLAIMED,
    DOMAINS_NOT_PUBLIC,
    NOT_PROVISIONED,
    RECORD_UNREADABLE,
    REGION_NOT_FOUND,
    Reason,
)
from cooper_operator.plan.region import Home, endpoint_of
from cooper_operator.plan.snapshot import BucketSnapshot
from cooper_operator.plan.steps import CreateRecord, DeleteRecord, Step, UpdateRecord

CONDITION: Final = "DomainsReady"
#: Reasons that end without a change of anything that would wake the Bucket.
_PASSING: Final = (DOMAIN_TAKEN, RECORD_UNREADABLE)


@dataclass(frozen=True, slots=True)
class Domains:
    """What to do about a Bucket's domains, and what to say; `said` None: it asks for none.

    `released` gives up what it asks for no more or may not have: that waits for nothing else of the Bucket.
    """

    released: tuple[Step, ...]
    claims: tuple[Step, ...]
    said: Say | None
    held: list[str] | None
    again: bool = False  # whether to look again without being woken


def plan(snapshot: BucketSnapshot, home: Home, record: BucketRecord) -> Domains:
    """Of a Bucket that has a bucket, as `record` says. One that is to go claims nothing more."""
    asked = snapshot.bucket.spec.domains or []
    problems = {each: found for each in asked if (found := _problem(snapshot, home, each)) is not None}
    held = [each for each in asked if each not in problems]
    claims = tuple(step for each in held for step in _claim(snapshot, record, each))
    again = any(reason in _PASSING for reason, _ in problems.values())
    said = _say(record, asked, list(problems.values()))
    theirs = [each for each in asked if each in held or _is_to_be_mended(snapshot, each)]
    return Domains(_release(snapshot, held), claims, said, theirs or None, again)


def not_provisioned(snapshot: BucketSnapshot) -> Domains:
    """Of a Bucket without a bucket: it has nothing to serve under any name."""
    asked = snapshot.bucket.spec.domains
    said = Say(CONDITION, "False", NOT_PROVISIONED, "the bucket is not provisioned") if asked else None
    return Domains(given_up(snapshot), (), said, None)


def given_up(snapshot: BucketSnapshot) -> tuple[Step, ...]:
    """What gives up all that the Bucket has."""
    return _release(snapshot, [])


def told(
    own_names: Domains, before: BucketStatus, said: tuple[Say, ...], now: float, generation: int
) -> list[Condition]:
    """The conditions after `said`; that of domains is there while the Bucket asks for some."""
    if own_names.said is None:
        return conditions(drop_conditions(before.conditions, CONDITION), said, now, generation)
    return conditions(before.conditions, (*said, own_names.said), now, generation)


def claim(domain: str, bucket: BucketRecord) -> DomainRecord:
    """What the record of a domain says that is a bucket's."""
    return DomainRecord(domain, bucket.name, bucket.data_id, bucket.owner, bucket.region)


def _release(snapshot: BucketSnapshot, held: list[str]) -> tuple[Step, ...]:
    return tuple(
        DeleteRecord(found)
        for found in snapshot.domains
        if isinstance(found.record, DomainRecord) and _is_own(found, snapshot) and found.record.name not in held
    )


def _claim(snapshot: BucketSnapshot, record: BucketRecord, domain: str) -> list[Step]:
    wanted, found = claim(domain, record), _found(snapshot, domain)
    if found is None:
        return [CreateRecord(domain_record_name(domain), wanted)]
    return [] if found.record == wanted else [UpdateRecord(found, wanted)]


def _problem(snapshot: BucketSnapshot, home: Home, domain: str) -> tuple[Reason, str] | None:
    """Why the Bucket cannot have a domain. What it may have, nobody but its Region knows: gone, it leaves what is."""
    found = _found(snapshot, domain)
    own = found is not None and _is_own(found, snapshot)
    if home.region is None:
        reason, text = home.problem or (REGION_NOT_FOUND, "the bucket's Region is not known")
        return None if own else (reason, f"nobody can tell who may have {domain}: {text}")
    around = snapshot.around
    if any(_is_of_gateways(domain, each, endpoint_of(each, around.default_endpoint)) for each in around.regions):
        return DOMAIN_NOT_ALLOWED, f"{domain} is a name of the gateways themselves"
    if not home.region.spec.lets_have(domain, snapshot.bucket.metadata.namespace):
        return DOMAIN_NOT_ALLOWED, f"{domain} is under no suffix that Region {home.name} lets this namespace have"
    if domain in snapshot.unreadable_domains:
        return RECORD_UNREADABLE, f"the record of the domain {domain} cannot be read"
    if own:
        return None
    if snapshot.bucket.metadata.deletion_timestamp is not None:
        return DELETING, f"the Bucket is being deleted, and claims {domain} no more"
    return None if found is None else (DOMAIN_TAKEN, f"another Bucket has {domain}")


def _is_of_gateways(domain: str, region: Region, endpoint: str) -> bool:
    """Whether clients reach a Region's gateways themselves by this name: that of an endpoint, of their Service, or one
    of those that all its buckets have.

    That is `<service>.<namespace>.svc`, alone or before a cluster's domain, whichever namespace it be; and the short
    `<service>.<namespace>` of the namespace that an endpoint tells: any other of two parts is a name like others."""
    endpoints, service = region.spec.endpoints, region.spec.service.name or region.metadata.name
    virtual_hosts = region.spec.features.virtual_hosts
    if virtual_hosts is not None and is_under(domain, virtual_hosts):
        return True
    hosts = [host_of(each) for each in (endpoints.internal, endpoints.public, endpoint) if each]
    short = {".".join(each.split(".")[:2]) for each in hosts if _is_of_service(each, service)}
    return domain in hosts or domain in short or _is_of_service(domain, service)


def _is_of_service(host: str, service: str) -> bool:
    return host.split(".")[::2][:2] == [service, "svc"]


def _say(record: BucketRecord, asked: list[str], problems: list[tuple[Reason, str]]) -> Say | None:
    if not asked:
        return None
    if problems:
        return Say(CONDITION, "False", problems[0][0], "; ".join(text for _, text in problems))
    if record.visibility != "Public":
        return Say(CONDITION, "False", DOMAINS_NOT_PUBLIC, "the domains are the bucket's, and nothing is served there")
    return Say(CONDITION, "True", DOMAINS_CLAIMED, f"the bucket has {', '.join(asked)}")


def _found(snapshot: BucketSnapshot, domain: str) -> StoredRecord | None:
    return next((each for each in snapshot.domains if each.name == domain_record_name(domain)), None)


def _is_to_be_mended(snapshot: BucketSnapshot, domain: str) -> bool:
    """Whether the record cannot be read, and status alone still tells that it was the Bucket's."""
    status = snapshot.bucket.status
    return domain in snapshot.unreadable_domains and status is not None and domain in (status.domains or ())


def _is_own(found: StoredRecord, snapshot: BucketSnapshot) -> bool:
    record = found.record
    return isinstance(record, DomainRecord) and record.owner.uid == snapshot.bucket.metadata.uid
