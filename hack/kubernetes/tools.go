//go:build tools

// Package kubernetes pins the control plane that the lab runs: real programs,
// compiled from source, kept apart so that their pins never reach the product.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
