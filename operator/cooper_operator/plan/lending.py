"""What namespaces lend to others now, against what records of keys still allow.

A withdrawn right is taken from a record when its AccessKey is looked at. This is for what keeps that from happening.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cooper_crds.bucket_grant import BucketGrant, BucketGrantSpec
from cooper_crds.records import BucketRecord, Grant, KeyRecord
from cooper_operator.plan.grants import MAX_LETTING, covers

#: Stands for every Bucket of a namespace.
_ALL: Final = ""


class Lending:
    """`buckets`: those that are there, by their data's UUID. `grants`: BucketGrants that are to last. `unreadable`:
    namespaces where some cannot be read, whose Buckets nothing is taken of for lack of one."""

    def __init__(
        self, buckets: Mapping[str, BucketRecord], grants: Iterable[BucketGrant], unreadable: frozenset[str]
    ) -> None:
        self._buckets = buckets
        self._unreadable = unreadable
        self._grants = defaultdict[str, list[BucketGrantSpec]](list)  # by namespace
        for grant in sorted(grants, key=lambda each: each.metadata.name):
            self._grants[grant.metadata.namespace].append(grant.spec)
        self._letting: dict[tuple[str, str], Mapping[str, list[BucketGrantSpec]]] = {}  # by Bucket
        self._known: dict[tuple[str, Grant], bool] = {}

    def lent(self, key: KeyRecord) -> KeyRecord:
        """The key with no more than its own namespace's and what others lend it."""
        grants = tuple(each for each in key.grants if self._may_keep(key.owner.namespace, each))
        return key if grants == key.grants else msgspec.structs.replace(key, grants=grants)

    def _may_keep(self, borrower: str, grant: Grant) -> bool:
        """Of a Bucket that is not there this cannot be told."""
        bucket = self._buckets.get(grant.data_id)
        if bucket is None or bucket.owner.namespace in (borrower, *self._unreadable):
            return True
        known = self._known.get((borrower, grant))
        if known is None:
            known = self._known[borrower, grant] = self._lends(bucket, borrower, grant)
        return known

    def _lends(self, bucket: BucketRecord, borrower: str, grant: Grant) -> bool:
        letting = self._to(borrower, bucket.owner.namespace)
        specs = (*letting.get(bucket.owner.name, ()), *letting.get(_ALL, ()))
        return any(covers(spec, bucket, grant) for spec in specs)

    def _to(self, borrower: str, lender: str) -> Mapping[str, list[BucketGrantSpec]]:
        """What a namespace lends another one, by the Bucket; as many of each as count at most."""
        found = self._letting.get((borrower, lender))
        if found is None:
            found = self._letting[borrower, lender] = defaultdict(list)
            for spec in self._grants.get(lender, ()):
                if spec.lets_in(borrower):
                    for name in (_ALL,) if spec.buckets is None else spec.buckets:
                        if len(found[name]) < MAX_LETTING:
                            found[name].append(spec)
        return found
