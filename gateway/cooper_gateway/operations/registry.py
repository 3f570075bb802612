"""Which handler answers which operation. A test proves that every row of `protocol/routes.py` has one."""

from typing import Final

from cooper_gateway.operations import (
    bucket,
    complete_upload,
    copy_object,
    create_bucket,
    delete_objects,
    get_object,
    list_buckets,
    list_objects,
    list_uploads,
    multipart,
    object_attributes,
    operate,
    post_object,
    put_object,
)
from cooper_gateway.operations.call import Handler, NowHandler

#: operation -> its handler.
HANDLERS: Final[dict[str, Handler]] = {
    "ListBuckets": list_buckets.list_buckets,
    "ListIntents": operate.list_intents,
    "ListWishes": operate.list_wishes,
    "SettleWish": operate.settle_wish,
    "CreateBucket": create_bucket.create_bucket,
    "HeadBucket": bucket.head_bucket,
    "DeleteBucket": bucket.delete_bucket,
    "GetBucketLocation": bucket.get_bucket_location,
    "ListObjectsV2": list_objects.list_objects_v2,
    "ListObjects": list_objects.list_objects,
    "ListMultipartUploads": list_uploads.list_multipart_uploads,
    "PostObject": post_object.post_object,
    "DeleteObjects": delete_objects.delete_objects,
    "GetUsage": operate.get_usage,
    "CloseBucket": operate.close_bucket,
    "ReopenBucket": operate.reopen_bucket,
    "DestroyBucket": operate.destroy_bucket,
    "PurgeBucket": operate.purge_bucket,
    "GetObject": get_object.get_object,
    "HeadObject": get_object.head_object,
    "GetObjectAttributes": object_attributes.get_object_attributes,
    "PutObject": put_object.put_object,
    "CopyObject": copy_object.copy_object,
    "DeleteObject": delete_objects.delete_object,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": multipart.upload_part_copy,
    "CompleteMultipartUpload": complete_upload.complete_multipart_upload,
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "ListParts": list_uploads.list_parts,
}

#: operation -> its synchronous handler; it answers None when the request has to take the asynchronous one.
NOW: Final[dict[str, NowHandler]] = {
    "GetObject": get_object.now_get_object,
    "HeadObject": get_object.now_head_object,
    "ListBuckets": list_buckets.now_list_buckets,
}
