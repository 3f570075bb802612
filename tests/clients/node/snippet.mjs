// The documented Node.js snippet, unchanged; before and after it only what gives it a file and checks the result.
import { readFileSync } from "node:fs";
import { GetObjectCommand, ListObjectsV2Command, DeleteObjectCommand } from "@aws-sdk/client-s3";
const fileBuffer = readFileSync(process.argv[2]);

// --- snippet
import { S3Client, PutObjectCommand } from "@aws-sdk/client-s3";

const s3 = new S3Client({
  endpoint: process.env.S3_ENDPOINT,
  region: process.env.S3_REGION,
  credentials: {
    accessKeyId: process.env.S3_ACCESS_KEY,
    secretAccessKey: process.env.S3_SECRET_KEY,
  },
  forcePathStyle: true,
});

await s3.send(new PutObjectCommand({
  Bucket: "my-bucket",
  Key: "uploads/photo.jpg",
  Body: fileBuffer,
}));
// --- end of snippet

const got = await s3.send(new GetObjectCommand({ Bucket: "my-bucket", Key: "uploads/photo.jpg" }));
const bytes = Buffer.from(await got.Body.transformToByteArray());
if (!bytes.equals(fileBuffer)) throw new Error("what came back differs");
const listed = await s3.send(new ListObjectsV2Command({ Bucket: "my-bucket", Prefix: "uploads/" }));
if (listed.KeyCount !== 1) throw new Error(`listed ${listed.KeyCount} objects`);
await s3.send(new DeleteObjectCommand({ Bucket: "my-bucket", Key: "uploads/photo.jpg" }));
console.log("node: ok");
