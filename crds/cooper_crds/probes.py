"""How a gateway knows a request that the operator makes with somebody's key, to see whether that works.

Such a request must be answered whatever else the key is used for, and costs its owner nothing. Who could mark one by
himself would be free of limits, so the mark is made with the operator's own key. Pure.
"""

import hmac
from typing import Final

from cooper_crds.records import KeyRecord

#: Header of a probe: the id of the operator's key, a space, and the mark.
PROBE: Final = "x-cooper-probe"


def probe_mark(system_key: KeyRecord, access_key_id: str, amz_date: str) -> str:
    """The header's value, for a request that is signed by that key at that time (YYYYMMDDTHHMMSSZ)."""
    text = f"cooper probe\n{access_key_id}\n{amz_date}".encode()
    return f"{system_key.access_key_id} {hmac.digest(system_key.secret_key.encode(), text, 'sha256').hex()}"


def marker_of(value: str) -> str:
    """Id of the key that a header's value says it is made with."""
    return value.partition(" ")[0]


def is_probe_mark(value: str, system_key: KeyRecord, access_key_id: str, amz_date: str) -> bool:
    """Whether the value is the mark of such a request."""
    wanted = probe_mark(system_key, access_key_id, amz_date)
    return hmac.compare_digest(value.encode("latin-1", "replace"), wanted.encode())
