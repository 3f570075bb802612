"""Which resource a record was written for."""

from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, Record
from cooper_operator.cluster.port import Ref


def record_owner(record: Record) -> Ref | None:
    """The resource to look at again when the record changed; None for the operator's own key."""
    if isinstance(record, KeyRecord):
        return None if record.system else Ref("AccessKey", record.owner.namespace, record.owner.name)
    if isinstance(record, BucketRecord | DomainRecord):
        return Ref("Bucket", record.owner.namespace, record.owner.name)
    return Ref("Region", "", record.name)
