//go:build tools

// Package tools names the program that the pins beside it are of.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
