"""Options of commands that serve S3 over TLS."""

from pathlib import Path

import click

tls_cert_option = click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve S3 over TLS (1.2 or newer) with the certificate in this PEM file. Taken up anew when it changes.",
)
tls_key_option = click.option(
    "--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="PEM file of the certificate's private key."
)


def tls_files(certificate: Path | None, key: Path | None) -> tuple[str, str]:
    """Absolute paths of both; empty without TLS."""
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key go together: give both, or neither")
    return (str(certificate.absolute()), str(key.absolute())) if certificate and key else ("", "")
