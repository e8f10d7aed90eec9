//go:build tools

// Package tools makes go.mod and go.sum name helm and all that it is built of, each with its hash.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
