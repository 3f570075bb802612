"""curl, which signs by itself (`--aws-sigv4`)."""

from typing import Final

from clients import machine
from clients.aws import clean_env
from clients.matrix import shell
from clients.matrix.rows import Client, Place, Ran, Row

_CURL: Final = """
AT=$ENDPOINT/work/$KEY
bare() { fetch --aws-sigv4 "aws:amz:$REGION:s3" --user "$ACCESS_KEY:$SECRET_KEY" "$@"; }
s3() { bare -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"; }
"""

ROWS: Final = (
    Row("PUT of a file, GET, HEAD, DELETE",
        """s3 -T "$SMALL" $AT/x; s3 $AT/x | cmp - "$SMALL"; s3 -I $AT/x | has 'HTTP/1.1 200'; s3 -X DELETE $AT/x
        fails fetch $AT/x"""),
    Row("PUT of 12 MiB by `--data-binary`, its hash signed",
        """sum=$(sha256sum < "$BIG" | cut -c -64);
        bare -X PUT -H "x-amz-content-sha256: $sum" -H 'Content-Type: x/y' --data-binary @"$BIG" $AT/x
        s3 $AT/x | cmp - "$BIG" """),
    Row("PUT from stdin, of unknown length", 's3 -T - $AT/x < "$SMALL"', "MissingContentLength"),
    Row("GET with `--range`, and going on with `--continue-at`",
        """s3 -T "$SMALL" $AT/x; [[ $(s3 -r 1-3 $AT/x) = mal ]]; head -c 6 "$SMALL" > back
        s3 -C - -o back $AT/x; cmp back "$SMALL" """),
    Row("PUT with `x-amz-meta-*` and `x-amz-checksum-crc32c`",
        """printf 123456789 > x; s3 -T x -H 'x-amz-meta-colour: red' -H 'x-amz-checksum-crc32c: 4waSgw==' $AT/x
        s3 -I -H 'x-amz-checksum-mode: ENABLED' $AT/x | tee told; has 'x-amz-meta-colour: red' < told
        has 'x-amz-checksum-crc32c: 4waSgw==' < told"""),
    Row("a copy, by `x-amz-copy-source`",
        's3 -T "$SMALL" $AT/1; s3 -X PUT -H "x-amz-copy-source: /work/$KEY/1" $AT/2; s3 $AT/2 | cmp - "$SMALL"'),
    Row("PUT with `If-None-Match: *` of a key that is there",
        """s3 -T "$SMALL" $AT/x; s3 -T "$SMALL" -H 'If-None-Match: *' $AT/x""", "PreconditionFailed"),
    Row("list, with its query in the order of its names",
        """s3 -T "$SMALL" $AT/x
        s3 "$ENDPOINT/work?list-type=2&max-keys=5&prefix=${KEY/\\//%2F}" | has "<Key>$KEY/x</Key>" """),
    Row("list, with its query in another order, and `/` as it is",
        's3 -T "$SMALL" $AT/x; s3 "$ENDPOINT/work?prefix=$KEY/&list-type=2" | has "<Key>$KEY/x</Key>"',
        "SignatureDoesNotMatch"),
    Row("a query parameter without `=` (`?uploads`)", 's3 "$ENDPOINT/work?uploads" | has ListMultipartUploadsResult',
        "SignatureDoesNotMatch"),
    Row("a key with `%20`, `%2B` and letters beyond ASCII, escaped in the URL",
        's3 -T "$SMALL" "$AT/a%20b%2Bc%C3%A4"; s3 "$AT/a%20b%2Bc%C3%A4" | cmp - "$SMALL"'),
    Row("a key with `(`, `!` and `$`, not escaped in the URL",
        """s3 -T "$SMALL" "$AT/(x)!\\$"; s3 "$AT/(x)!\\$" | cmp - "$SMALL" """, "SignatureDoesNotMatch"),
    Row("GET without the header `x-amz-content-sha256`",
        's3 -T "$SMALL" $AT/x; bare $AT/x', "MissingSecurityHeader"),
    Row("creating a bucket", "s3 -X PUT $ENDPOINT/new-bucket", "NotImplemented"),
    Row("with a wrong secret", 'SECRET_KEY=wrong; s3 $AT/x', "SignatureDoesNotMatch"),
    Row("without a signature", "fetch $AT/x", "AccessDenied"),
)  # fmt: skip


def _run(client: Client, place: Place) -> Ran:
    """curl, which signs by itself."""
    env = clean_env(**place.credentials)
    return shell.run(client, place, _CURL, env, [machine.of_the_machine("curl", "curl"), "--version"])


CLIENTS: Final = (Client("curl", ROWS, _run, ours=False),)
