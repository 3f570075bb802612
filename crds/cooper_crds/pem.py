"""Certificates as text: PEM (RFC 7468), one block or several, and nothing else beside them."""

import re
from typing import Final

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_BLOCK: Final = rf"{_BEGIN}[\r\n]+([A-Za-z0-9+/=]+[\r\n]+)+{_END}"
_WIDTH: Final = 64
#: In JSON schemas. What is in a block only the models look at.
BUNDLE_PATTERN: Final = rf"^[\r\n]*{_BLOCK}([\r\n]+{_BLOCK})*[\r\n]*$"
#: What is said of what does not match it.
NO_BUNDLE: Final = (
    "must be certificates in PEM form, each from a line -----BEGIN CERTIFICATE----- to a line "
    "-----END CERTIFICATE-----, and nothing else: no keys, no comments, no spaces"
)
#: It has to fit into an environment variable (128 KiB on Linux), and is in every Secret of its Region.
MAX_BUNDLE: Final = 32 << 10

_BUNDLE_RULE: Final = re.compile(BUNDLE_PATTERN[1:-1])
_EACH: Final = re.compile(_BLOCK)


def is_bundle(value: str) -> bool:
    """Whether a text begins as certificates do."""
    return value.lstrip("\r\n").startswith(_BEGIN)


def certificate_bundle(value: str) -> str:
    """Certificates in their usual form: each on lines of its own, which end in line feeds. Raises ValueError."""
    if not _BUNDLE_RULE.fullmatch(value):
        raise ValueError(NO_BUNDLE)
    blocks = blocks_of(value)
    for number, block in enumerate(blocks, 1):
        if not _is_certificate(block):
            raise ValueError(f"must be certificates in PEM form: what block {number} of {len(blocks)} holds is none")
    return "".join(blocks)


def blocks_of(text: str) -> list[str]:
    """The blocks in a text, in which there may be comments or other things beside them."""
    return [_usual(found[0]) for found in _EACH.finditer(text)]


def _usual(block: str) -> str:
    """RFC 7468, 2: "Generators MUST wrap the base64-encoded lines so that each line consists of exactly 64 characters
    except for the final line"."""
    text = "".join(block.removeprefix(_BEGIN).removesuffix(_END).split())
    return "\n".join([_BEGIN, *(text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)), _END, ""])


def _is_certificate(block: str) -> bool:
    # Imported here: it takes a twentieth of a second, and few manifests hold certificates.
    from cryptography import x509

    try:
        x509.load_pem_x509_certificate(block.encode())
    except ValueError:
        return False
    return True
