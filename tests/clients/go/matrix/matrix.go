// Tries the rows that the SDKs share (clients/matrix/sdks.py), one function each, with the AWS SDK for Go v2.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const MiB = 1 << 20

var (
	ctx    = context.Background()
	bucket = aws.String("work")
	client = connect(os.Getenv("SECRET_KEY"))
	small  = []byte(strings.Repeat("small\n", 100))
	big    = make([]byte, 12*MiB)
	prefix string
)

var rows = map[string]func(){
	"put_get_delete":       putGetDelete,
	"ranges":               ranges,
	"no_such_range":        func() { put("x", small); get("x", func(i *s3.GetObjectInput) { i.Range = aws.String("bytes=5000-") }) },
	"metadata":             metadata,
	"listing":              listing,
	"copying":              copying,
	"delete_many":          deleteMany,
	"upload_manager":       uploadManager,
	"upload_of_a_stream":   func() { upload("x", io.MultiReader(bytes.NewReader(big)), ""); same(get("x"), big) },
	"download_manager":     downloadManager,
	"older_manager":        olderManager,
	"parts_by_hand":        partsByHand,
	"presigned":            presigned,
	"conditions_that_hold": conditionsThatHold,
	"put_if_none_match": func() {
		put("x", small)
		put("x", small, func(i *s3.PutObjectInput) { i.IfNoneMatch = aws.String("*") })
	},
	"put_if_match": func() {
		put("x", small)
		put("x", small, func(i *s3.PutObjectInput) { i.IfMatch = aws.String(`"00000000000000000000000000000000"`) })
	},
	"no_such_key":   func() { get("x") },
	"create_bucket": func() { must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("new-bucket")})) },
	"tagging": func() {
		put("x", small)
		tags := &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}
		must(client.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: bucket, Key: key("x"), Tagging: tags}))
	},
	"wrong_secret": func() {
		must(connect("wrong").PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("x"), Body: bytes.NewReader(nil)}))
	},
}

func main() {
	must(rand.Read(big))
	for _, name := range types.ChecksumAlgorithm("").Values() {
		rows["checksum_"+string(name)] = func() { withChecksum(name) }
	}
	tell(map[string]string{"version": version()})
	for _, name := range os.Args[1:] {
		prefix = "go/" + name
		told := try(rows[name])
		told["name"] = name
		tell(told)
	}
}

func connect(secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(os.Getenv("ENDPOINT")),
		Region:       os.Getenv("REGION"),
		Credentials:  credentials.NewStaticCredentialsProvider(os.Getenv("ACCESS_KEY"), secret, ""),
		UsePathStyle: true,
	})
}

// try runs a row; what it panics with is told, by the code of S3 where it has one.
func try(row func()) (told map[string]string) {
	told = map[string]string{}
	defer func() {
		if failure := recover(); failure != nil {
			told["message"] = fmt.Sprint(failure)
			told["output"] = told["message"]
			var answer smithy.APIError
			if err, ok := failure.(error); ok && errors.As(err, &answer) {
				told["code"], told["message"] = answer.ErrorCode(), answer.ErrorMessage()
			}
		}
	}()
	row()
	return told
}

func tell(what map[string]string) {
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, each := range info.Deps {
		if each.Path == "github.com/aws/aws-sdk-go-v2/service/s3" {
			return "s3 " + strings.TrimPrefix(each.Version, "v")
		}
	}
	return ""
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func same(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%.60q instead of %.60q", fmt.Sprint(got), fmt.Sprint(wanted)))
	}
}

func key(name string) *string { return aws.String(prefix + "/" + name) }

func put(name string, data []byte, more ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	input := &s3.PutObjectInput{Bucket: bucket, Key: key(name), Body: bytes.NewReader(data)}
	for _, each := range more {
		each(input)
	}
	return must(client.PutObject(ctx, input))
}

func get(name string, more ...func(*s3.GetObjectInput)) []byte {
	input := &s3.GetObjectInput{Bucket: bucket, Key: key(name)}
	for _, each := range more {
		each(input)
	}
	got := must(client.GetObject(ctx, input))
	defer got.Body.Close()
	return must(io.ReadAll(got.Body))
}

func head(name string) *s3.HeadObjectOutput {
	return must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key(name), ChecksumMode: types.ChecksumModeEnabled}))
}

func count() int {
	return int(*must(client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key("")})).KeyCount)
}

func inParts(o *transfermanager.Options) {
	o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = 5*MiB, 6*MiB, 2
}

func upload(name string, body io.Reader, checksum string) {
	must(transfermanager.New(client, inParts).UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: bucket, Key: key(name), Body: body, ChecksumAlgorithm: tmtypes.ChecksumAlgorithm(checksum),
	}))
}

func putGetDelete() {
	name := "sp ace+plus&amp=per%25cent/(ä)'~*!$@,;.txt"
	put(name, small)
	same(int(*head(name).ContentLength), len(small))
	same(get(name), small)
	must(client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key(name)}))
	same(count(), 0)
}

func ranges() {
	put("x", big)
	of := func(value string) []byte {
		return get("x", func(i *s3.GetObjectInput) { i.Range = aws.String(value) })
	}
	same(of("bytes=7000000-7000008"), big[7000000:7000009])
	same(of("bytes=-9"), big[len(big)-9:])
}

func metadata() {
	put("x", small, func(i *s3.PutObjectInput) {
		i.Metadata = map[string]string{"colour": "red"}
		i.ContentType, i.CacheControl = aws.String("text/csv"), aws.String("no-store")
	})
	found := head("x")
	same(found.Metadata["colour"]+*found.ContentType+*found.CacheControl, "redtext/csvno-store")
}

func listing() {
	for each := range 25 {
		put(fmt.Sprintf("%d/%d", each%2, each), nil)
	}
	below := &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key(""), MaxKeys: aws.Int32(10)}
	keys := 0
	for pages := s3.NewListObjectsV2Paginator(client, below); pages.HasMorePages(); {
		keys += len(must(pages.NextPage(ctx)).Contents)
	}
	same(keys, 25)
	below.Delimiter = aws.String("/")
	folders := must(client.ListObjectsV2(ctx, below)).CommonPrefixes
	same([]string{*folders[0].Prefix, *folders[1].Prefix}, []string{*key("0/"), *key("1/")})
}

func copying() {
	put("1", small, func(i *s3.PutObjectInput) { i.Metadata = map[string]string{"colour": "red"} })
	source := aws.String("work/" + *key("1"))
	must(client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key("2"), CopySource: source}))
	must(client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: key("3"), CopySource: source,
		MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"colour": "blue"},
	}))
	same(head("2").Metadata["colour"]+head("3").Metadata["colour"], "redblue")
	same(get("3"), small)
}

func deleteMany() {
	var objects []types.ObjectIdentifier
	for each := range 5 {
		name := fmt.Sprintf("&<%d>", each)
		put(name, small)
		objects = append(objects, types.ObjectIdentifier{Key: key(name)})
	}
	input := &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}}
	same(len(must(client.DeleteObjects(ctx, input)).Deleted), 5)
	same(count(), 0)
}

func uploadManager() {
	upload("x", bytes.NewReader(big), "")
	same(get("x"), big)
	same(strings.HasSuffix(*head("x").ETag, `-3"`), true)
}

func downloadManager() {
	upload("x", bytes.NewReader(big), "")
	for _, kind := range []tmtypes.GetObjectType{tmtypes.GetObjectRanges, tmtypes.GetObjectParts} {
		back := manager.NewWriteAtBuffer(nil)
		byKind := func(o *transfermanager.Options) { o.GetObjectType = kind }
		input := &transfermanager.DownloadObjectInput{Bucket: bucket, Key: key("x"), WriterAt: back}
		must(transfermanager.New(client, inParts, byKind).DownloadObject(ctx, input))
		same(back.Bytes(), big)
	}
}

func olderManager() {
	uploader := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 5 * MiB })
	must(uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("x"), Body: io.MultiReader(bytes.NewReader(big))}))
	back := manager.NewWriteAtBuffer(nil)
	must(manager.NewDownloader(client).Download(ctx, back, &s3.GetObjectInput{Bucket: bucket, Key: key("x")}))
	same(back.Bytes(), big)
}

func partsByHand() {
	put("big", big)
	place := key("x")
	create := func() *string {
		return must(client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: place})).UploadId
	}
	ours, other := create(), create()
	sent := must(client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: bucket, Key: place, UploadId: ours, PartNumber: aws.Int32(1), Body: bytes.NewReader(big[:5*MiB]),
	}))
	copied := must(client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: bucket, Key: place, UploadId: ours, PartNumber: aws.Int32(2), CopySource: aws.String("work/" + *key("big")),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", 5*MiB, 12*MiB-1)),
	}))
	parts := must(client.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: place, UploadId: ours}))
	same(len(parts.Parts), 2)
	uploads := must(client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: bucket, Prefix: place}))
	same(len(uploads.Uploads), 2)
	must(client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: place, UploadId: ours,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
			{PartNumber: aws.Int32(1), ETag: sent.ETag}, {PartNumber: aws.Int32(2), ETag: copied.CopyPartResult.ETag},
		}},
	}))
	must(client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: place, UploadId: other}))
	same(get("x"), big)
}

func presigned() {
	signer := s3.NewPresignClient(client)
	link := must(signer.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("x y")})).URL
	sent := must(http.DefaultClient.Do(must(http.NewRequest(http.MethodPut, link, bytes.NewReader(small)))))
	same(sent.StatusCode, 200)
	link = must(signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("x y")})).URL
	same(must(io.ReadAll(must(http.Get(link)).Body)), small)
}

func withChecksum(name types.ChecksumAlgorithm) {
	put("small", small, func(i *s3.PutObjectInput) { i.ChecksumAlgorithm = name })
	upload("big", bytes.NewReader(big), string(name))
	for each, data := range map[string][]byte{"small": small, "big": big} {
		same(get(each, func(i *s3.GetObjectInput) { i.ChecksumMode = types.ChecksumModeEnabled }), data)
		value := reflect.ValueOf(head(each)).Elem().FieldByName("Checksum" + string(name)).Interface().(*string)
		if value == nil {
			panic("no Checksum" + string(name) + " of " + each)
		}
	}
}

func conditionsThatHold() {
	first := put("x", small, func(i *s3.PutObjectInput) { i.IfNoneMatch = aws.String("*") })
	second := put("x", big, func(i *s3.PutObjectInput) { i.IfMatch = first.ETag })
	same(get("x", func(i *s3.GetObjectInput) { i.IfMatch = second.ETag }), big)
}
