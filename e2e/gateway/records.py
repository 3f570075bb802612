"""Writes records into a namespace as the operator does."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.kubernetes import RECORD_KEY, RECORD_LABEL, RECORD_TYPE, REVISION_KEY, REVISION_OBJECT, secret_name
from cooper_crds.records import Grant, KeyRecord, Record, encode
from cooper_gateway.records.table import record_name
from support.records_fixtures import bucket, key


def usable_key(serial: int = 1, **changes: object) -> KeyRecord:
    """A key that may do everything on the bucket `photos`."""
    return key(serial, grants=(Grant("photos", bucket().data_id, DEFAULT_ACTIONS),), **changes)


class Namespace:
    """The records of one namespace."""

    def __init__(self, api: client.ApiClient, name: str) -> None:
        self.core = client.CoreV1Api(api)
        self.name = name

    def put(self, record: Record, revise: bool = True) -> int:
        """Create or replace a record's Secret, and tell the revision object. Returns the version of the write."""
        secret = self._secret(secret_name(record_name(record)), {RECORD_KEY: base64.b64encode(encode(record)).decode()})
        version = self._put(secret)
        if revise:
            self.revise(version)
        return version

    def put_many(self, records: list[Record]) -> None:
        """The same for many, eight at a time, with one write of the revision object."""
        with ThreadPoolExecutor(8) as pool:
            self.revise(max(pool.map(lambda record: self.put(record, revise=False), records)))

    def put_raw(self, name: str, data: dict[str, str]) -> None:
        """A Secret that looks like a record's, whatever is in it."""
        self._put(self._secret(name, data))

    def delete(self, record: Record) -> None:
        """Remove a record's Secret."""
        self.core.delete_namespaced_secret(secret_name(record_name(record)), self.name)

    def revise(self, version: int) -> None:
        """Tell gateways that there was a write of that version."""
        body: Any = {"metadata": {"name": REVISION_OBJECT}, "data": {REVISION_KEY: str(version)}}
        try:
            self.core.replace_namespaced_config_map(REVISION_OBJECT, self.name, body)
        except ApiException as error:
            if error.status != 404:
                raise
            self.core.create_namespaced_config_map(self.name, body)

    def _secret(self, name: str, data: dict[str, str]) -> dict[str, Any]:
        labels = {RECORD_LABEL: re.split("[-.]", name)[0]}
        return {"metadata": {"name": name, "labels": labels}, "type": RECORD_TYPE, "data": data}

    def _put(self, secret: Any) -> int:
        try:
            written: Any = self.core.create_namespaced_secret(self.name, secret)
        except ApiException as error:
            if error.status != 409:
                raise
            written = self.core.replace_namespaced_secret(secret["metadata"]["name"], self.name, secret)
        return int(written.metadata.resource_version)
