"""How gateways are known over TLS: by the name that clients use, and by whom the Region trusts for it."""

import ssl
from dataclasses import dataclass
from functools import lru_cache

from cooper_crds.records import RegionRecord


@dataclass(frozen=True, slots=True)
class Tls:
    """`name` is what the gateways' certificate must be for: connections go to replicas' addresses, which it does not
    have. `ca_bundle` (PEM): whom to trust; empty: whom the system trusts."""

    name: str
    ca_bundle: str = ""

    def context(self) -> ssl.SSLContext:
        """Of a client that insists on chain and name. Raises ssl.SSLError."""
        return _context(self.ca_bundle)


def tls_of(region: RegionRecord) -> Tls | None:
    """How a Region's gateways are spoken to; None without TLS."""
    return Tls(region.tls_name, region.ca_bundle) if region.tls_name else None


def failure(error: ssl.SSLError, tls: Tls) -> str:
    """What is wrong with a gateway's TLS, in words that stay the same from one attempt to the next."""
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = (
            "the Region's caBundle" if tls.ca_bundle else "the system's certificates, as the Region has no caBundle"
        )
        return f"its certificate is refused by {trusted}: {error.verify_message.rstrip('.')}"
    return f"TLS with it fails: {(error.reason or type(error).__name__).lower().replace('_', ' ')}"


@lru_cache(maxsize=64)
def _context(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An authority that is not the last one of its chain may be trusted as well, whichever Python this is.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if ca_bundle:
        context.load_verify_locations(cadata=ca_bundle)
    else:
        context.load_default_certs()
    return context
