"""rclone, for both providers that fit."""

import os
from typing import Final

from clients import cache
from clients.aws import clean_env
from clients.matrix import shell
from clients.matrix.rows import Client, Place, Ran, Row

ROWS: Final = (
    Row("`copy` up, within the bucket, down; 12 MiB in parts",
        """mkdir from; cp "$BIG" "$SMALL" from; rclone copy from $AT/1; rclone copy $AT/1 $AT/2; rclone copy $AT/2 back
        diff -r from back"""),
    Row("`copyto`, `moveto`",
        """rclone copyto "$SMALL" $AT/1; rclone copyto $AT/1 $AT/2; rclone moveto $AT/2 $AT/3; rclone moveto $AT/3 back
        cmp back "$SMALL"; [[ $(rclone lsf $AT) = 1 ]]"""),
    Row("`sync` up, again with nothing to do, with what is gone deleted; down",
        """cp -r "$TREE" tree; rclone sync tree $AT; rclone sync -v tree $AT 2>&1 | has '0 B / 0 B'; rm tree/a/1.txt
        rclone sync tree $AT; [[ $(rclone lsf -R --files-only $AT | wc -l) = 3 ]]
        mkdir back; echo more > back/more; rclone sync $AT back; diff -r tree back"""),
    Row("`sync --checksum --exclude --backup-dir`",
        """cp -r "$TREE" tree; rclone sync --checksum --exclude '*.log' tree $AT/1; echo new > tree/a/1.txt
        rclone sync --checksum --backup-dir $AT/2 tree $AT/1; rclone cat $AT/2/a/1.txt | cmp - "$TREE/a/1.txt" """),
    Row("`check`, `check --download`, and both where a file differs",
        """mkdir from; cp "$BIG" "$SMALL" from; rclone copy from $AT; rclone check from $AT
        rclone check --download from $AT; echo x | rclone rcat $AT/small.txt
        fails rclone check from $AT; fails rclone check --download from $AT"""),
    Row("`lsf`, `lsjson`, `ls`, `size`, `tree`, `hashsum md5`",
        """rclone copy "$TREE" $AT; rclone lsf $AT | has a/; rclone lsjson -R $AT | has '"Path":"a/1.txt"'
        rclone ls $AT | has a/1.txt; rclone size $AT | has 'Total objects: 4'; rclone tree $AT | has 4
        rclone hashsum md5 $AT | has "$(md5sum < "$TREE/a/1.txt" | cut -c -32)" """),
    Row("`rcat` of 12 MiB of unknown length; `cat --offset --count`",
        """rclone rcat --streaming-upload-cutoff 1M $AT/x < "$BIG"; rclone cat $AT/x | cmp - "$BIG"
        rclone cat $AT/x --offset 7000000 --count 9 | cmp - <(tail -c +7000001 "$BIG" | head -c 9)"""),
    Row("a key with spaces, `%`, `+`, `&` and letters beyond ASCII",
        """rclone copyto "$SMALL" "$AT/$UNUSUAL"; rclone lsf -R $AT | has "$UNUSUAL"
        rclone copyto "$AT/$UNUSUAL" "$AT/copy of $UNUSUAL"; rclone cat "$AT/copy of $UNUSUAL" | cmp - "$SMALL" """),
    Row("`--metadata --metadata-set --header-upload`",
        """rclone copyto -M --metadata-set colour=red --header-upload 'Cache-Control: no-store' "$SMALL" $AT/x
        rclone lsjson --metadata --stat $AT/x | tee told; has '"colour": "red"' < told; has no-store < told"""),
    Row("`touch` of what is there, which sets its time", """rclone copyto "$SMALL" $AT/x
        rclone touch --timestamp 2001-02-03T04:05:06 $AT/x; rclone lsl $AT | has 2001-02-03"""),
    Row("`link` (presigned)",
        'rclone copyto "$SMALL" $AT/x; fetch "$(rclone link --expire 1h $AT/x)" | cmp - "$SMALL"'),
    Row("`delete --include`, `deletefile`, `purge`",
        """rclone copy "$TREE" $AT; rclone delete --include '*.log' $AT; rclone deletefile $AT/a/1.txt
        [[ $(rclone lsf -R --files-only $AT | wc -l) = 2 ]]; rclone purge $AT
        rclone lsf -R c:work > listed; fails grep "^$KEY/" listed"""),
    Row("`cleanup`, `backend list-multipart-uploads`",
        "rclone cleanup c:work; rclone backend list-multipart-uploads c:work"),
    Row("`mkdir` of a bucket that is there", "rclone mkdir c:work"),
    Row("`mkdir` of a bucket", "rclone mkdir c:new-bucket", "NotImplemented"),
    Row("`backend versioning`", "rclone backend versioning c:work", "NotImplemented"),
)  # fmt: skip


def _run(client: Client, place: Place) -> Ran:
    """rclone; the last word of the client's name is the provider."""
    provider = client.name.rpartition(" ")[2]
    env = clean_env(
        RCLONE_CONFIG=os.devnull,
        RCLONE_CONFIG_C_TYPE="s3",
        RCLONE_CONFIG_C_PROVIDER=provider,
        RCLONE_CONFIG_C_ENDPOINT=place.credentials["ENDPOINT"],
        RCLONE_CONFIG_C_REGION=place.credentials["REGION"],
        RCLONE_CONFIG_C_ACCESS_KEY_ID=place.credentials["ACCESS_KEY"],
        RCLONE_CONFIG_C_SECRET_ACCESS_KEY=place.credentials["SECRET_KEY"],
        RCLONE_CONFIG_C_FORCE_PATH_STYLE="true",
        RCLONE_S3_UPLOAD_CUTOFF="6M",
        RCLONE_S3_CHUNK_SIZE="5M",
        RCLONE_S3_COPY_CUTOFF="6M",
        RCLONE_RETRIES="1",
        RCLONE_LOW_LEVEL_RETRIES="1",
    )
    # Over plain HTTP the provider AWS wants to hash a stream that it cannot rewind; this is its documented way out.
    if provider == "AWS":
        env["RCLONE_CONFIG_C_USE_UNSIGNED_PAYLOAD"] = "true"
    return shell.run(client, place, "AT=c:work/$KEY", env, [str(cache.programs() / "rclone"), "version"])


#: Over plain HTTP the provider AWS wants to hash a stream that it cannot rewind.
_WITHOUT_UNSIGNED: Final = Row(
    "`copyto` over plain HTTP, without `use_unsigned_payload = true`",
    'RCLONE_CONFIG_C_USE_UNSIGNED_PAYLOAD=false rclone copyto "$SMALL" $AT/x',
    "failed to seek body to start, request stream is not seekable",
)
CLIENTS: Final = (
    Client("rclone, provider Other", ROWS, _run),
    Client("rclone, provider AWS", (*ROWS, _WITHOUT_UNSIGNED), _run),
)
