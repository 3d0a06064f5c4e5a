// Package runtime holds scenarios of layer L4 in which programs that are not ours
// call the CNI plugin or stand behind it in the chain: a real containerd with
// runc and CRI calls, cnitool, the reference plugins, systemd-udevd.
package runtime
