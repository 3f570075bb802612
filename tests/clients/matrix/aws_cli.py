"""aws-cli: its high-level `s3` commands, and calls of `s3api` that they do not make."""

from typing import Final

from clients import cache
from clients.aws import aws_env
from clients.matrix import shell
from clients.matrix.rows import Client, Place, Ran, Row
from cooper_gateway.protocol.checksums import ALGORITHMS

ROWS: Final = (
    Row("`s3 mb`", "aws s3 mb s3://new-bucket", "NotImplemented"),
    Row("`s3 mb` of a bucket that is there", "aws s3 mb s3://work", "BucketAlreadyOwnedByYou"),
    Row(
        "`s3 ls` of buckets, of a folder, `--recursive --human-readable --summarize`",
        """aws s3 cp "$SMALL" $AT/a/small; aws s3 ls | has ' work'; aws s3 ls $AT/ | has 'PRE a/'
        aws s3 ls --recursive --human-readable --summarize $AT/ | has 'Total Objects: 1'""",
    ),
    Row(
        "`s3 cp` of 12 MiB in parts, up, within the bucket, down",
        """aws s3 cp "$BIG" $AT/big; aws s3 cp $AT/big $AT/copy; aws s3 cp $AT/copy back; cmp "$BIG" back""",
    ),
    Row("`s3 cp` from stdin and to stdout", """aws s3 cp - $AT/big < "$BIG"; aws s3 cp $AT/big - | cmp - "$BIG" """),
    Row(
        "`s3 cp --recursive --exclude --include`",
        """aws s3 cp --recursive "$TREE" $AT/ --exclude '*' --include '*.txt'; aws s3 cp --recursive $AT/ back
        diff -r --exclude=2.log "$TREE" back""",
    ),
    Row(
        "`s3 cp` with `--metadata --cache-control --content-type --acl --storage-class --sse`",
        """aws s3 cp "$SMALL" $AT/x --metadata colour=red --cache-control no-store --content-type text/csv \\
            --acl public-read --storage-class STANDARD_IA --sse AES256
        aws s3api head-object --bucket work --key $KEY/x | tee head; has '"colour": "red"' < head
        has no-store < head; has text/csv < head""",
    ),
    Row("`s3 cp --sse-c`", 'aws s3 cp "$SMALL" $AT/x --sse-c --sse-c-key 01234567890123456789012345678901',
        "NotImplemented"),
    Row("`s3 cp` of a key with spaces, `%`, `+`, `&` and letters beyond ASCII",
        """aws s3 cp "$SMALL" "$AT/$UNUSUAL"; aws s3 ls "$AT/" --recursive | has "$UNUSUAL"
        aws s3 cp "$AT/$UNUSUAL" "$AT/copy of $UNUSUAL"; aws s3 cp "$AT/copy of $UNUSUAL" - | cmp - "$SMALL" """),
    Row("`s3 mv` up, within the bucket, down",
        """cp "$BIG" big; aws s3 mv big $AT/1; [[ ! -e big ]]; aws s3 mv $AT/1 $AT/2; aws s3 mv $AT/2 back
        cmp "$BIG" back; [[ -z $(aws s3 ls --recursive s3://work/ | grep "$KEY/" || true) ]]"""),
    Row("`s3 sync` up, again with nothing to do, with `--delete` and `--exclude`",
        """cp -rp "$TREE" tree; aws s3 sync tree $AT/ | has upload; [[ -z $(aws s3 sync tree $AT/) ]]
        rm tree/a/1.txt tree/a/2.log; aws s3 sync tree $AT/ --delete --exclude '*.log'
        aws s3 ls --recursive $AT/ > listed; has 2.log < listed; [[ $(wc -l < listed) = 3 ]]"""),
    Row("`s3 sync` within the bucket, and down, with `--delete`",
        """aws s3 sync "$TREE" $AT/1/; aws s3 sync $AT/1/ $AT/2/; mkdir back; echo more > back/more
        aws s3 sync --delete $AT/2/ back; diff -r "$TREE" back"""),
    Row("`s3 rm`, with `--recursive --exclude`",
        """aws s3 sync "$TREE" $AT/; aws s3 rm $AT/a/1.txt; aws s3 rm --recursive $AT/ --exclude '*.log'
        aws s3 ls --recursive $AT/ > listed; has 2.log < listed; [[ $(wc -l < listed) = 1 ]]"""),
    Row("`s3 presign`", 'aws s3 cp "$SMALL" $AT/x; fetch "$(aws s3 presign $AT/x --expires-in 60)" | cmp - "$SMALL"'),
    Row("`s3 rb` of a bucket that holds objects", 'aws s3 cp "$SMALL" $AT/x; aws s3 rb s3://work', "AccessDenied"),
    Row("`s3 website`", "aws s3 website s3://work --index-document index.html", "NotImplemented"),
    *(
        Row(f"`s3 cp` and `s3api put-object` with `--checksum-algorithm {name}`",
            f"""aws s3 cp "$BIG" $AT/big --checksum-algorithm {name}
            aws s3api put-object --bucket work --key $KEY/small --body "$SMALL" --checksum-algorithm {name} > put
            has Checksum{name} < put
            for key in big small; do
                aws s3api head-object --bucket work --key $KEY/$key --checksum-mode ENABLED | has Checksum{name}
            done
            aws s3 cp $AT/big back --checksum-mode ENABLED; cmp back "$BIG"
            """)
        for name in ALGORITHMS
    ),
    Row("`s3api get-object` with `--range`, `--if-match`",
        """aws s3 cp "$SMALL" $AT/x; aws s3api get-object --bucket work --key $KEY/x --range bytes=1-3 part >/dev/null
        [[ $(cat part) = mal ]]; tag=$(aws s3api head-object --bucket work --key $KEY/x --query ETag --output text)
        aws s3api get-object --bucket work --key $KEY/x --if-match "$tag" back >/dev/null; cmp back "$SMALL" """),
    Row("`s3api put-object --if-none-match` of a key that is there",
        'aws s3 cp "$SMALL" $AT/x; aws s3api put-object --bucket work --key $KEY/x --if-none-match "*"',
        "PreconditionFailed"),
    Row("multipart upload by `s3api`: parts sent and copied, listed, completed; another aborted",
        """of="--bucket work --key $KEY/x"
        id() { aws s3api create-multipart-upload $of --query UploadId --output text; }
        aws s3 cp "$BIG" $AT/big; first=$(id); second=$(id)
        head -c 5242880 "$BIG" > one
        a=$(aws s3api upload-part $of --upload-id $first --part-number 1 --body one --query ETag)
        b=$(aws s3api upload-part-copy $of --upload-id $first --part-number 2 --copy-source work/$KEY/big \\
            --copy-source-range bytes=5242880-12582911 --query CopyPartResult.ETag)
        [[ $(aws s3api list-parts $of --upload-id $first --query 'length(Parts)') = 2 ]]
        aws s3api list-multipart-uploads --bucket work --prefix $KEY/x --query 'length(Uploads)' | has 2
        printf '{"Parts": [{"PartNumber": 1, "ETag": %s}, {"PartNumber": 2, "ETag": %s}]}' "$a" "$b" > parts
        aws s3api complete-multipart-upload $of --upload-id $first --multipart-upload file://parts
        aws s3api abort-multipart-upload $of --upload-id $second; aws s3 cp $AT/x - | cmp - "$BIG" """),
    Row("`s3api get-object-attributes` of an upload in parts",
        """aws s3 cp "$BIG" $AT/x --checksum-algorithm SHA256; aws s3api get-object-attributes --bucket work \\
            --key $KEY/x --object-attributes ETag Checksum ObjectParts StorageClass ObjectSize > told
        has 12582912 < told; has '"TotalPartsCount": 3' < told; has ChecksumSHA256 < told"""),
    *(
        Row(f"`s3api {name}`", f'aws s3 cp "$SMALL" $AT/x; aws s3api {name} {words}', "NotImplemented")
        for name, words in (
            ("get-bucket-versioning", "--bucket work"),
            ("get-object-acl", "--bucket work --key $KEY/x"),
            ("put-object-tagging", "--bucket work --key $KEY/x --tagging TagSet=[]"),
        )
    ),
)  # fmt: skip


def _run(client: Client, place: Place) -> Ran:
    """aws-cli, with parts as small as may be."""
    config = place.folder / "config"
    config.write_text("[default]\ns3 =\n  multipart_threshold = 6MB\n  multipart_chunksize = 5MB\n")
    env = aws_env(place.credentials, place.folder) | {"AWS_CONFIG_FILE": str(config), "AWS_PAGER": ""}
    return shell.run(client, place, "AT=s3://work/$KEY", env, [str(cache.programs() / "aws"), "--version"])


CLIENTS: Final = (Client("aws-cli", ROWS, _run),)
