// Package kube runs a real Kubernetes control plane without a cluster around
// it: one etcd and one kube-apiserver, with RBAC, the node authorizer and
// service account tokens, in the caller's network namespace or in another.
//
// All that a ControlPlane has is in one folder: certificates, data, logs, and a
// state file by which another process can take it over. The package ends only
// processes whose pid and start time it wrote down itself.
package kube
