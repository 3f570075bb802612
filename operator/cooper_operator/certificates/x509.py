"""Certificates made and read: ECDSA on P-256, in PEM. RFC 5280 is followed as far as its strictest readers ask for."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cooper_operator.certificates.renewal import AUTHORITY_LIFE, BACKDATED, CERTIFICATE_LIFE, Found

#: "ub-common-name INTEGER ::= 64" (RFC 5280, appendix A.1)
_LONGEST_NAME: Final = 64
_SIGNS_CERTIFICATES: Final = frozenset(("key_cert_sign", "crl_sign"))
_SIGNS: Final = frozenset(("digital_signature",))
_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, in PEM."""

    certificate: str
    key: str = field(repr=False)


def new_authority(now: float) -> Pair:
    """An authority of its own. `now`: Unix seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    mark = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Several that follow one another are told apart by name as well.
    name = _name(f"Cooper authority {mark.digest.hex()[:8]}")
    builder = _builder(name, name, key, now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(_SIGNS_CERTIFICATES), critical=True)
    return _pair(builder.add_extension(mark, critical=False).sign(key, hashes.SHA256()), key)


def new_certificate(authority: Pair, names: Sequence[str], now: float) -> Pair:
    """A server's certificate for host names and IP addresses, signed by an authority. `now`: Unix seconds."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = _private_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(names[0][:_LONGEST_NAME]), issuer.subject, key, now, CERTIFICATE_LIFE)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(_SIGNS), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def found_in(pair: Pair, authorities: Sequence[str] | None = None) -> Found | None:
    """What a pair says; None when it cannot be read, or is none. `authorities`: whom clients trust, if that counts."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        if _private_key(pair.key).public_key() != certificate.public_key():
            return None
        trusted = authorities is None or any(_signed(certificate, each) for each in authorities)
        return Found(
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
            frozenset(_names_of(certificate)),
            trusted,
        )
    except (ValueError, TypeError):
        return None


def still_good(certificate: str, now: float) -> bool:
    """Whether a certificate is not over yet."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp() > now
    except ValueError:
        return False


def usual(host: str) -> str:
    """A host as certificates name it: an address may be written in several ways."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: float, life: float
) -> x509.CertificateBuilder:
    begin = datetime.fromtimestamp(int(now - BACKDATED), UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(seconds=life))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(wanted: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in wanted for usage in _USAGES})


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _signed(certificate: x509.Certificate, authority: str) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError for any that we never make."""
    key = serialization.load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of an elliptic curve")
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Pair(certificate.public_bytes(pem).decode(), key.private_bytes(pem, form, plain).decode())
