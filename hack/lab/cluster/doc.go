// Package cluster is the lab with real machines: the same racks and routers as
// package lab, a control plane with its controller manager and scheduler, and on
// each node of the topology a machine of its own, on which containerd, kubelet
// and kube-proxy run at their usual places. Fairlead is installed on it as its
// users install it: by Helm, from the chart, with an image of its own.
//
// A machine has mount, pid, uts and ipc namespaces, a folder in the cgroup
// hierarchies, and a root file system of its own: the host's, read through, with
// all that is written kept on the machine's disk. Its disk outlives its power,
// its /run does not. One process holds it: when that ends, so does all in it.
//
// Invariants are the lab's: nothing outside of an instance is touched, and Down,
// or the lab's sweep after a killed owner, leaves nothing of it.
package cluster
