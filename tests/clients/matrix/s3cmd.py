"""s3cmd."""

from typing import Final

from clients import cache
from clients.aws import clean_env
from clients.matrix import shell
from clients.matrix.rows import Client, Place, Ran, Row

ROWS: Final = (
    Row("`ls`, `ls --recursive`, `la`, `du`",
        """s3cmd put "$SMALL" $AT/a/x; s3cmd ls | has s3://work; s3cmd ls $AT/ | has "DIR"; s3cmd ls -r $AT/ | has a/x
        s3cmd la | has s3://work; s3cmd du $AT/ | has '1 objects'"""),
    Row("`put`, `cp`, `mv`, `get`; 12 MiB in parts",
        """for file in "$SMALL" "$BIG"; do s3cmd put "$file" $AT/1; s3cmd cp $AT/1 $AT/2; s3cmd mv $AT/2 $AT/3
        s3cmd get --force $AT/3 back; cmp "$file" back; done"""),
    Row("`put` from stdin", 's3cmd put - $AT/x < "$BIG"; s3cmd get $AT/x back; cmp back "$BIG"'),
    Row("`get --continue` of half a file", """s3cmd put "$BIG" $AT/x; head -c 6000000 "$BIG" > back
        s3cmd get --continue $AT/x back; cmp back "$BIG" """),
    Row("`sync` up, again with nothing to do, with `--delete-removed --exclude`; down",
        """cp -r "$TREE" tree; s3cmd sync tree/ $AT/ | has upload; [[ $(s3cmd sync tree/ $AT/) != *upload:* ]]
        rm tree/a/1.txt tree/a/2.log; s3cmd sync --delete-removed --exclude '*.log' tree/ $AT/
        s3cmd ls -r $AT/ > listed; has 2.log < listed; [[ $(wc -l < listed) = 3 ]]
        mkdir back; s3cmd sync $AT/ back/; rm back/a/2.log; diff -r tree back"""),
    Row("`sync` within the bucket", """s3cmd sync "$TREE/" $AT/1/; s3cmd sync $AT/1/ $AT/2/; mkdir back
        s3cmd sync $AT/2/ back/; diff -r "$TREE" back"""),
    Row("`put --recursive`, `get --recursive`, `del --recursive`",
        """s3cmd put -r "$TREE/" $AT/; mkdir back; s3cmd get -r $AT/ back/; diff -r "$TREE" back
        s3cmd del -r --force $AT/; [[ -z $(s3cmd ls -r $AT/) ]]"""),
    Row("a key with spaces, `%`, `+`, `&` and letters beyond ASCII",
        """s3cmd put "$SMALL" "$AT/$UNUSUAL"; s3cmd ls -r $AT/ | has "$UNUSUAL"
        s3cmd cp "$AT/$UNUSUAL" "$AT/copy of $UNUSUAL"; s3cmd get "$AT/copy of $UNUSUAL" back; cmp back "$SMALL" """),
    Row("`put --add-header --mime-type --acl-public --storage-class`, `modify`, `info` of an object",
        """s3cmd put --add-header x-amz-meta-colour:red --mime-type text/csv --acl-public --storage-class STANDARD_IA \\
            "$SMALL" $AT/x
        s3cmd modify --add-header cache-control:no-store $AT/x; s3cmd info $AT/x > told; has text/csv < told
        has red < told"""),
    Row("`info` of a bucket", "s3cmd info s3://work | has work"),
    Row("`multipart`, `listmp`, `abortmp`",
        """fetch --aws-sigv4 "aws:amz:$REGION:s3" --user "$ACCESS_KEY:$SECRET_KEY" -X POST \\
            -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$ENDPOINT/work/$KEY/x?uploads="
        s3cmd multipart s3://work > told; id=$(awk -v key="$KEY/x" 'index($0, key) {print $3}' told)
        [[ -n $id ]]; s3cmd listmp $AT/x $id; s3cmd abortmp $AT/x $id
        s3cmd multipart s3://work > told; fails grep "$KEY/x" told"""),
    Row("`mb`", "s3cmd mb s3://new-bucket", "NotImplemented"),
    Row("`rb` of a bucket that holds objects", 's3cmd put "$SMALL" $AT/x; s3cmd rb s3://work', "AccessDenied"),
    Row("`setacl --acl-public`", 's3cmd put "$SMALL" $AT/x; s3cmd setacl --acl-public $AT/x', "NotImplemented"),
    Row("`signurl`, whose link has Signature Version 2",
        's3cmd put "$SMALL" $AT/x; fetch "$(s3cmd signurl $AT/x +600)"', "InvalidRequest"),
)  # fmt: skip


def _run(client: Client, place: Place) -> Ran:
    """s3cmd, with its file in the home folder."""
    host = place.credentials["ENDPOINT"].removeprefix("http://")
    config = place.folder / ".s3cfg"
    config.write_text(
        f"[default]\naccess_key = {place.credentials['ACCESS_KEY']}\nsecret_key = {place.credentials['SECRET_KEY']}\n"
        f"bucket_location = {place.credentials['REGION']}\nhost_base = {host}\nhost_bucket = {host}\n"
        "use_https = False\nmultipart_chunk_size_mb = 5\nprogress_meter = False\nmax_retries = 1\n"
    )
    config.chmod(0o600)
    return shell.run(
        client,
        place,
        "AT=s3://work/$KEY",
        clean_env(**place.credentials),
        [str(cache.programs() / "s3cmd"), "--version"],
    )


CLIENTS: Final = (Client("s3cmd", ROWS, _run),)
