// Tries the rows that the SDKs share (clients/matrix/sdks.py), one method each, with the AWS SDK for Java 2.x.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.BlockingInputStreamAsyncRequestBody;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.*;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

public final class Matrix {
    interface Row {
        void run() throws Exception;
    }

    static final int MIB = 1 << 20;
    static final String BUCKET = "work";
    static final S3Client client = connect(System.getenv("SECRET_KEY"));
    static final S3AsyncClient async = S3AsyncClient.builder()
            .endpointOverride(URI.create(System.getenv("ENDPOINT")))
            .region(Region.of(System.getenv("REGION")))
            .credentialsProvider(credentials(System.getenv("SECRET_KEY")))
            .forcePathStyle(true)
            .multipartEnabled(true)
            .multipartConfiguration(m -> m.minimumPartSizeInBytes(5L * MIB).thresholdInBytes(6L * MIB))
            .build();
    static final S3TransferManager transfers = S3TransferManager.builder().s3Client(async).build();
    static final byte[] small = "small\n".repeat(100).getBytes();
    static final byte[] big = new byte[12 * MIB];
    static String prefix;

    static StaticCredentialsProvider credentials(String secret) {
        return StaticCredentialsProvider.create(AwsBasicCredentials.create(System.getenv("ACCESS_KEY"), secret));
    }

    static S3Client connect(String secret) {
        return S3Client.builder()
                .endpointOverride(URI.create(System.getenv("ENDPOINT")))
                .region(Region.of(System.getenv("REGION")))
                .credentialsProvider(credentials(secret))
                .forcePathStyle(true)
                .build();
    }

    public static void main(String[] names) {
        new Random(1).nextBytes(big);
        tell(Map.of("version", VersionInfo.SDK_VERSION));
        Map<String, Row> rows = rows();
        for (String name : names) {
            prefix = "java/" + name;
            Map<String, String> told = attempt(rows.get(name));
            told.put("name", name);
            tell(told);
        }
        System.exit(0);
    }

    static Map<String, Row> rows() {
        Map<String, Row> rows = new LinkedHashMap<>();
        rows.put("put_get_delete", Matrix::putGetDelete);
        rows.put("ranges", Matrix::ranges);
        rows.put("no_such_range", () -> {
            put("x", small);
            get("x", g -> g.range("bytes=5000-"));
        });
        rows.put("metadata", Matrix::metadata);
        rows.put("listing", Matrix::listing);
        rows.put("copying", Matrix::copying);
        rows.put("delete_many", Matrix::deleteMany);
        rows.put("upload_manager", Matrix::uploadManager);
        rows.put("upload_of_a_stream", Matrix::uploadOfAStream);
        rows.put("download_manager", Matrix::downloadManager);
        rows.put("parts_by_hand", Matrix::partsByHand);
        rows.put("presigned", Matrix::presigned);
        for (ChecksumAlgorithm each : ChecksumAlgorithm.knownValues()) {
            rows.put("checksum_" + each, () -> withChecksum(each));
        }
        rows.put("conditions_that_hold", Matrix::conditionsThatHold);
        rows.put("put_if_none_match", () -> {
            put("x", small);
            put("x", small, p -> p.ifNoneMatch("*"));
        });
        rows.put("put_if_match", () -> {
            put("x", small);
            put("x", small, p -> p.ifMatch("\"00000000000000000000000000000000\""));
        });
        rows.put("no_such_key", () -> get("x"));
        rows.put("create_bucket", () -> client.createBucket(b -> b.bucket("new-bucket")));
        rows.put("tagging", () -> {
            put("x", small);
            client.putObjectTagging(t -> t.bucket(BUCKET).key(key("x"))
                    .tagging(Tagging.builder().tagSet(Tag.builder().key("a").value("b").build()).build()));
        });
        rows.put("wrong_secret", () ->
                connect("wrong").putObject(p -> p.bucket(BUCKET).key(key("x")), RequestBody.empty()));
        return rows;
    }

    /** What a row throws is told, by the code of S3 where it has one. */
    static Map<String, String> attempt(Row row) {
        Map<String, String> told = new LinkedHashMap<>();
        try {
            row.run();
        } catch (Throwable thrown) {
            Throwable failure = thrown instanceof CompletionException ? thrown.getCause() : thrown;
            told.put("message", String.valueOf(failure.getMessage()));
            told.put("output", failure + "\n" + Arrays.toString(failure.getStackTrace()));
            if (failure instanceof AwsServiceException answer && answer.awsErrorDetails() != null) {
                told.put("code", answer.awsErrorDetails().errorCode());
                told.put("message", answer.awsErrorDetails().errorMessage());
            }
        }
        return told;
    }

    static void tell(Map<String, String> what) {
        List<String> fields = new ArrayList<>();
        what.forEach((name, value) -> fields.add(quoted(name) + ":" + quoted(value)));
        System.out.println("{" + String.join(",", fields) + "}");
    }

    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            if (each == '"' || each == '\\' || each < ' ' || each > '~') {
                quoted.append(String.format("\\u%04x", (int) each));
            } else {
                quoted.append(each);
            }
        }
        return quoted.append('"').toString();
    }

    static void same(Object got, Object wanted) {
        boolean equal = got instanceof byte[] bytes ? Arrays.equals(bytes, (byte[]) wanted) : got.equals(wanted);
        if (!equal) {
            throw new AssertionError(got + " instead of " + wanted);
        }
    }

    static String key(String name) {
        return prefix + "/" + name;
    }

    static PutObjectResponse put(String name, byte[] data) {
        return put(name, data, p -> {});
    }

    static PutObjectResponse put(String name, byte[] data, Consumer<PutObjectRequest.Builder> more) {
        return client.putObject(p -> more.accept(p.bucket(BUCKET).key(key(name))), RequestBody.fromBytes(data));
    }

    static byte[] get(String name) {
        return get(name, g -> {});
    }

    static byte[] get(String name, Consumer<GetObjectRequest.Builder> more) {
        return client.getObjectAsBytes(g -> more.accept(g.bucket(BUCKET).key(key(name)))).asByteArray();
    }

    static HeadObjectResponse head(String name) {
        return client.headObject(h -> h.bucket(BUCKET).key(key(name)).checksumMode(ChecksumMode.ENABLED));
    }

    static int count() {
        return client.listObjectsV2(l -> l.bucket(BUCKET).prefix(key(""))).keyCount();
    }

    static void upload(String name, Consumer<PutObjectRequest.Builder> more) throws Exception {
        Path file = Files.createTempFile("matrix", null);
        try {
            Files.write(file, big);
            transfers.uploadFile(u -> u.source(file).putObjectRequest(p -> more.accept(p.bucket(BUCKET).key(key(name)))))
                    .completionFuture().join();
        } finally {
            Files.delete(file);
        }
    }

    static void putGetDelete() {
        String name = "sp ace+plus&amp=per%25cent/(\u00e4)'~*!$@,;.txt";
        put(name, small);
        same(head(name).contentLength(), (long) small.length);
        same(get(name), small);
        client.deleteObject(d -> d.bucket(BUCKET).key(key(name)));
        same(count(), 0);
    }

    static void ranges() {
        put("x", big);
        same(get("x", g -> g.range("bytes=7000000-7000008")), Arrays.copyOfRange(big, 7000000, 7000009));
        same(get("x", g -> g.range("bytes=-9")), Arrays.copyOfRange(big, big.length - 9, big.length));
    }

    static void metadata() {
        put("x", small, p -> p.metadata(Map.of("colour", "red")).contentType("text/csv").cacheControl("no-store"));
        HeadObjectResponse found = head("x");
        same(List.of(found.metadata().get("colour"), found.contentType(), found.cacheControl()),
                List.of("red", "text/csv", "no-store"));
    }

    static void listing() {
        for (int each = 0; each < 25; each++) {
            put(each % 2 + "/" + each, new byte[0]);
        }
        same((int) client.listObjectsV2Paginator(l -> l.bucket(BUCKET).prefix(key("")).maxKeys(10))
                .contents().stream().count(), 25);
        List<CommonPrefix> folders =
                client.listObjectsV2(l -> l.bucket(BUCKET).prefix(key("")).delimiter("/")).commonPrefixes();
        same(folders.stream().map(CommonPrefix::prefix).toList(), List.of(key("0/"), key("1/")));
    }

    static void copying() {
        put("1", small, p -> p.metadata(Map.of("colour", "red")));
        client.copyObject(c -> c.sourceBucket(BUCKET).sourceKey(key("1")).destinationBucket(BUCKET)
                .destinationKey(key("2")));
        client.copyObject(c -> c.sourceBucket(BUCKET).sourceKey(key("1")).destinationBucket(BUCKET)
                .destinationKey(key("3")).metadataDirective(MetadataDirective.REPLACE)
                .metadata(Map.of("colour", "blue")));
        same(head("2").metadata().get("colour") + head("3").metadata().get("colour"), "redblue");
        same(get("3"), small);
    }

    static void deleteMany() {
        List<ObjectIdentifier> objects = new ArrayList<>();
        for (int each = 0; each < 5; each++) {
            String name = "&<" + each + ">";
            put(name, small);
            objects.add(ObjectIdentifier.builder().key(key(name)).build());
        }
        same(client.deleteObjects(d -> d.bucket(BUCKET).delete(o -> o.objects(objects))).deleted().size(), 5);
        same(count(), 0);
    }

    static void uploadManager() throws Exception {
        upload("x", p -> {});
        same(get("x"), big);
        same(head("x").eTag().endsWith("-3\""), true);
    }

    static void uploadOfAStream() throws Exception {
        BlockingInputStreamAsyncRequestBody body = AsyncRequestBody.forBlockingInputStream(null);
        var upload = transfers.upload(u -> u.requestBody(body).putObjectRequest(p -> p.bucket(BUCKET).key(key("x"))));
        body.writeInputStream(new java.io.ByteArrayInputStream(big));
        upload.completionFuture().join();
        same(get("x"), big);
    }

    static void downloadManager() throws Exception {
        upload("x", p -> {});
        Path file = Files.createTempFile("matrix", null);
        transfers.downloadFile(d -> d.destination(file).getObjectRequest(g -> g.bucket(BUCKET).key(key("x"))))
                .completionFuture().join();
        same(Files.readAllBytes(file), big);
        Files.delete(file);
    }

    static void partsByHand() {
        put("big", big);
        String ours = client.createMultipartUpload(c -> c.bucket(BUCKET).key(key("x"))).uploadId();
        String other = client.createMultipartUpload(c -> c.bucket(BUCKET).key(key("x"))).uploadId();
        String sent = client.uploadPart(u -> u.bucket(BUCKET).key(key("x")).uploadId(ours).partNumber(1),
                RequestBody.fromByteBuffer(ByteBuffer.wrap(big, 0, 5 * MIB))).eTag();
        String copied = client.uploadPartCopy(u -> u.sourceBucket(BUCKET).sourceKey(key("big"))
                .destinationBucket(BUCKET).destinationKey(key("x")).uploadId(ours).partNumber(2)
                .copySourceRange("bytes=" + 5 * MIB + "-" + (12 * MIB - 1))).copyPartResult().eTag();
        same(client.listParts(l -> l.bucket(BUCKET).key(key("x")).uploadId(ours)).parts().size(), 2);
        same(client.listMultipartUploads(l -> l.bucket(BUCKET).prefix(key("x"))).uploads().size(), 2);
        client.completeMultipartUpload(c -> c.bucket(BUCKET).key(key("x")).uploadId(ours).multipartUpload(m -> m.parts(
                CompletedPart.builder().partNumber(1).eTag(sent).build(),
                CompletedPart.builder().partNumber(2).eTag(copied).build())));
        client.abortMultipartUpload(a -> a.bucket(BUCKET).key(key("x")).uploadId(other));
        same(get("x"), big);
    }

    static void presigned() throws Exception {
        HttpClient http = HttpClient.newHttpClient();
        try (S3Presigner signer = S3Presigner.builder().s3Client(client)
                .endpointOverride(URI.create(System.getenv("ENDPOINT")))
                .region(Region.of(System.getenv("REGION")))
                .credentialsProvider(credentials(System.getenv("SECRET_KEY")))
                .serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(true).build()).build()) {
            URI put = signer.presignPutObject(p -> p.signatureDuration(Duration.ofMinutes(1))
                    .putObjectRequest(o -> o.bucket(BUCKET).key(key("x y")))).url().toURI();
            HttpRequest request = HttpRequest.newBuilder(put).PUT(HttpRequest.BodyPublishers.ofByteArray(small)).build();
            same(http.send(request, BodyHandlers.ofString()).statusCode(), 200);
            URI get = signer.presignGetObject(p -> p.signatureDuration(Duration.ofMinutes(1))
                    .getObjectRequest(o -> o.bucket(BUCKET).key(key("x y")))).url().toURI();
            same(http.send(HttpRequest.newBuilder(get).build(), BodyHandlers.ofByteArray()).body(), small);
        }
    }

    static void withChecksum(ChecksumAlgorithm name) throws Exception {
        put("small", small, p -> p.checksumAlgorithm(name));
        upload("big", p -> p.checksumAlgorithm(name));
        for (String each : List.of("small", "big")) {
            same(get(each, g -> g.checksumMode(ChecksumMode.ENABLED)), each.equals("small") ? small : big);
            head(each).getValueForField("Checksum" + name, String.class)
                    .orElseThrow(() -> new AssertionError("no Checksum" + name + " of " + each));
        }
    }

    static void conditionsThatHold() {
        String first = put("x", small, p -> p.ifNoneMatch("*")).eTag();
        String second = put("x", big, p -> p.ifMatch(first)).eTag();
        same(get("x", g -> g.ifMatch(second)), big);
    }
}
