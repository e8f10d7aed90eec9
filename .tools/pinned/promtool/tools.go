//go:build tools

// Package tools makes go.mod and go.sum name promtool and all that it is built of, each with its hash.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
