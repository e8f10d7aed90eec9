//go:build tools

// Package tools makes go.mod and go.sum name nsc and all that it is built of, each with its hash.
package tools

import _ "github.com/nats-io/nsc/v2"
