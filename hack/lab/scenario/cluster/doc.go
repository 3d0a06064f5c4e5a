// Package cluster holds the tests of Fairlead on a Kubernetes of real kubelets
// (see hack/lab/cluster), installed by its Helm chart. They share one cluster:
// each leaves it as it found it.
package cluster
