"""The limited set of S3 actions that an access key may be given. What is not listed here cannot be granted."""

from typing import Final

GET_OBJECT: Final = "s3:GetObject"
PUT_OBJECT: Final = "s3:PutObject"
DELETE_OBJECT: Final = "s3:DeleteObject"
LIST_BUCKET: Final = "s3:ListBucket"
GET_BUCKET_LOCATION: Final = "s3:GetBucketLocation"
DELETE_BUCKET: Final = "s3:DeleteBucket"
CREATE_BUCKET: Final = "s3:CreateBucket"

#: What a key gets when its resource names no actions.
DEFAULT_ACTIONS: Final = (GET_OBJECT, PUT_OBJECT, DELETE_OBJECT, LIST_BUCKET, GET_BUCKET_LOCATION)

#: Every action that a resource may name. The last two are never given by default. To create buckets is about none of
#: those that are there: it means something in `allBuckets` of an AccessKey only.
GRANTABLE_ACTIONS: Final = (*DEFAULT_ACTIONS, DELETE_BUCKET, CREATE_BUCKET)

#: The operator's own action on the gateway (usage, closing and destroying buckets). No resource can name it.
OPERATE: Final = "cooper:Operate"
