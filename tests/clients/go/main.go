// The documented Go snippet, unchanged; around it only what Go needs to compile it and what checks the result.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	ctx := context.Background()

	// --- snippet
	cfg, _ := config.LoadDefaultConfig(ctx,
		config.WithRegion(os.Getenv("S3_REGION")),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			os.Getenv("S3_ACCESS_KEY"),
			os.Getenv("S3_SECRET_KEY"),
			"",
		)),
	)

	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("S3_ENDPOINT"))
		o.UsePathStyle = true
	})
	// --- end of snippet

	file, err := os.ReadFile(os.Args[1])
	check(err)
	bucket, key := aws.String("my-bucket"), aws.String("uploads/photo.jpg")
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(file)})
	check(err)
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	check(err)
	back, err := io.ReadAll(got.Body)
	check(err)
	if !bytes.Equal(back, file) {
		check(fmt.Errorf("what came back differs"))
	}
	listed, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("uploads/")})
	check(err)
	if *listed.KeyCount != 1 {
		check(fmt.Errorf("listed %d objects", *listed.KeyCount))
	}
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	check(err)
	fmt.Println("go: ok")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
