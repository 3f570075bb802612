// Tries the rows that the SDKs share (clients/matrix/sdks.py), one function each, with the AWS SDK for JavaScript v3.
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { randomBytes } from "node:crypto";
import * as s3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const settings = {
  endpoint: process.env.ENDPOINT,
  region: process.env.REGION,
  credentials: { accessKeyId: process.env.ACCESS_KEY, secretAccessKey: process.env.SECRET_KEY },
  forcePathStyle: true,
};
const client = new s3.S3Client(settings);
const Bucket = "work", MIB = 1 << 20;
const big = randomBytes(12 * MIB), small = Buffer.from("small\n".repeat(100));
let prefix;

const send = (Command, input) => client.send(new s3[`${Command}Command`]({ Bucket, ...input }));
const put = (Key, Body, more) => send("PutObject", { Key, Body, ...more });
const get = async (Key, more) => Buffer.from(await (await send("GetObject", { Key, ...more })).Body.transformToByteArray());
const key = (name) => `${prefix}/${name}`;
const same = (got, wanted, what) => {
  const equal = Buffer.isBuffer(wanted) ? wanted.equals(got) : got === wanted;
  if (!equal) throw new Error(`${what}: ${Buffer.isBuffer(got) ? `${got.length} bytes` : got}`);
};
const upload = (Key, Body, more) =>
  new Upload({ client, params: { Bucket, Key, Body, ...more }, partSize: 5 * MIB, queueSize: 2 }).done();

async function withChecksum(name) {
  const ChecksumAlgorithm = name, ChecksumMode = "ENABLED", field = `Checksum${name}`;
  const stored = await put(key("small"), small, { ChecksumAlgorithm });
  await upload(key("big"), big, { ChecksumAlgorithm });
  for (const [each, data] of [["small", small], ["big", big]]) {
    same(await get(key(each), { ChecksumMode }), data, each);
    const head = await send("HeadObject", { Key: key(each), ChecksumMode });
    if (!head[field]) throw new Error(`no ${field} of ${each}`);
    if (each === "small") same(head[field], stored[field], field);
  }
}

const rows = {
  async put_get_delete() {
    const Key = key("sp ace+plus&amp=per%25cent/(ä)'~*!$@,;.txt");
    await put(Key, small);
    same((await send("HeadObject", { Key })).ContentLength, small.length, "length");
    same(await get(Key), small, "content");
    await send("DeleteObject", { Key });
    same((await send("ListObjectsV2", { Prefix: prefix })).KeyCount, 0, "count");
  },
  async ranges() {
    await put(key("x"), big);
    same(await get(key("x"), { Range: "bytes=7000000-7000008" }), big.subarray(7000000, 7000009), "range");
    same(await get(key("x"), { Range: "bytes=-9" }), big.subarray(-9), "suffix");
  },
  async no_such_range() {
    await put(key("x"), small);
    await get(key("x"), { Range: "bytes=5000-" });
  },
  async metadata() {
    await put(key("x"), small, { Metadata: { colour: "red" }, ContentType: "text/csv", CacheControl: "no-store" });
    const head = await send("HeadObject", { Key: key("x") });
    same(`${head.Metadata.colour} ${head.ContentType} ${head.CacheControl}`, "red text/csv no-store", "metadata");
  },
  async listing() {
    for (let each = 0; each < 25; each++) await put(key(`${each % 2}/${each}`), "");
    const keys = [];
    for await (const page of s3.paginateListObjectsV2({ client, pageSize: 10 }, { Bucket, Prefix: `${prefix}/` }))
      keys.push(...page.Contents.map((each) => each.Key));
    same(keys.length, 25, "keys");
    const folders = await send("ListObjectsV2", { Prefix: `${prefix}/`, Delimiter: "/" });
    same(folders.CommonPrefixes.map((each) => each.Prefix).join(), `${prefix}/0/,${prefix}/1/`, "folders");
  },
  async copying() {
    await put(key("1"), small, { Metadata: { colour: "red" } });
    const CopySource = `${Bucket}/${key("1")}`, MetadataDirective = "REPLACE";
    await send("CopyObject", { Key: key("2"), CopySource });
    await send("CopyObject", { Key: key("3"), CopySource, MetadataDirective, Metadata: { colour: "blue" } });
    same((await send("HeadObject", { Key: key("2") })).Metadata.colour, "red", "kept");
    same((await send("HeadObject", { Key: key("3") })).Metadata.colour, "blue", "replaced");
    same(await get(key("3")), small, "copy");
  },
  async delete_many() {
    const Objects = Array.from({ length: 5 }, (_, each) => ({ Key: key(`&<${each}>`) }));
    for (const { Key } of Objects) await put(Key, small);
    same((await send("DeleteObjects", { Delete: { Objects } })).Deleted.length, 5, "deleted");
    same((await send("ListObjectsV2", { Prefix: prefix })).KeyCount, 0, "count");
  },
  async upload_manager() {
    await upload(key("x"), big);
    same(await get(key("x")), big, "content");
    if (!(await send("HeadObject", { Key: key("x") })).ETag.includes("-3")) throw new Error("not in three parts");
  },
  async upload_of_a_stream() {
    await upload(key("x"), Readable.from([big.subarray(0, 7 * MIB), big.subarray(7 * MIB)]));
    same(await get(key("x")), big, "content");
  },
  async parts_by_hand() {
    await put(key("big"), big);
    const Key = key("x"), { UploadId } = await send("CreateMultipartUpload", { Key });
    const other = await send("CreateMultipartUpload", { Key });
    const first = await send("UploadPart", { Key, UploadId, PartNumber: 1, Body: big.subarray(0, 5 * MIB) });
    const second = await send("UploadPartCopy", {
      Key, UploadId, PartNumber: 2,
      CopySource: `${Bucket}/${key("big")}`, CopySourceRange: `bytes=${5 * MIB}-${12 * MIB - 1}`,
    });
    same((await send("ListParts", { Key, UploadId })).Parts.length, 2, "parts");
    same((await send("ListMultipartUploads", { Prefix: Key })).Uploads.length, 2, "uploads");
    const Parts = [{ PartNumber: 1, ETag: first.ETag }, { PartNumber: 2, ETag: second.CopyPartResult.ETag }];
    await send("CompleteMultipartUpload", { Key, UploadId, MultipartUpload: { Parts } });
    await send("AbortMultipartUpload", { Key, UploadId: other.UploadId });
    same(await get(Key), big, "content");
  },
  async presigned() {
    const link = (Command, Key) => getSignedUrl(client, new s3[Command]({ Bucket, Key }), { expiresIn: 60 });
    const sent = await fetch(await link("PutObjectCommand", key("x y")), { method: "PUT", body: small });
    same(sent.status, 200, "put");
    const got = await fetch(await link("GetObjectCommand", key("x y")));
    same(Buffer.from(await got.arrayBuffer()), small, "get");
  },
  ...Object.fromEntries(
    ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"].map((name) => [`checksum_${name}`, () => withChecksum(name)]),
  ),
  async conditions_that_hold() {
    const { ETag } = await put(key("x"), small, { IfNoneMatch: "*" });
    const again = await put(key("x"), big, { IfMatch: ETag });
    same(await get(key("x"), { IfMatch: again.ETag }), big, "content");
  },
  async put_if_none_match() {
    await put(key("x"), small);
    await put(key("x"), small, { IfNoneMatch: "*" });
  },
  async put_if_match() {
    await put(key("x"), small);
    await put(key("x"), small, { IfMatch: '"00000000000000000000000000000000"' });
  },
  async no_such_key() {
    await get(key("x"));
  },
  async create_bucket() {
    await client.send(new s3.CreateBucketCommand({ Bucket: "new-bucket" }));
  },
  async tagging() {
    await put(key("x"), small);
    await send("PutObjectTagging", { Key: key("x"), Tagging: { TagSet: [{ Key: "a", Value: "b" }] } });
  },
  async wrong_secret() {
    const credentials = { ...settings.credentials, secretAccessKey: "wrong" };
    await new s3.S3Client({ ...settings, credentials }).send(new s3.PutObjectCommand({ Bucket, Key: key("x"), Body: "" }));
  },
};

console.log(JSON.stringify({ version: createRequire(import.meta.url)("@aws-sdk/client-s3/package.json").version }));
for (const name of process.argv.slice(2)) {
  prefix = `node/${name}`;
  try {
    await rows[name]();
    console.log(JSON.stringify({ name }));
  } catch (error) {
    console.log(JSON.stringify({ name, code: error.name, message: error.message, output: error.stack }));
  }
}
