"""Host names that a Bucket can have, in text. Apart from their types, whose library a gateway's workers do not load.

Names are compared by whole labels: lower case, other scripts as punycode only, no final period, and nothing that a
client could take for an IP address.
"""

import re
from typing import Final

#: Longest domain: its record's name has to fit into a file's.
MAX_DOMAIN: Final = 200

# RFC 1123, 2.1: a label begins and ends with a letter or digit, and has at most 63 octets (RFC 1035, 2.3.4). "If the
# last part is a number the host is an IPv4 address" (WHATWG URL, ends in a number): it begins with a letter here.
_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LAST: Final = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN: Final = rf"^({_LABEL}\.)+{_LAST}$"
SUFFIX_PATTERN: Final = rf"^({_LABEL}\.)*{_LAST}$"
_DOMAIN: Final = re.compile(DOMAIN_PATTERN[1:-1])
_SUFFIX: Final = re.compile(SUFFIX_PATTERN[1:-1])


def is_domain(text: str) -> bool:
    """Whether it can be a domain of a Bucket."""
    return len(text) <= MAX_DOMAIN and _DOMAIN.fullmatch(text) is not None


def is_suffix(text: str) -> bool:
    """Whether it can be the end of domains, of whatever length."""
    return _SUFFIX.fullmatch(text) is not None


def is_under(domain: str, suffix: str) -> bool:
    """Whether a domain is the suffix itself, or ends with all of its labels."""
    return domain == suffix or domain.endswith(f".{suffix}")
