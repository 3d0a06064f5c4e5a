package cluster

import (
	"fmt"
	"net/netip"
	"strings"
)

// pauseImage is the sandbox of each pod, under the name that its archive has.
const pauseImage = "registry.k8s.io/pause:3.10.1"

// ContainerdMetrics is where a machine's containerd tells of itself, in the
// machine's network namespace.
const ContainerdMetrics = "127.0.0.1:1338"

// containerdConfig is for containerd 1.6. Our own oom_score_adj may be the lowest
// that we may set (CAP_SYS_RESOURCE), which restrict_oom_score_adj heeds.
const containerdConfig = `version = 2
[metrics]
  address = "` + ContainerdMetrics + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`

// kubeletConfig takes the cgroup of the machine and the cluster's DNS address.
// Nothing is evicted for want of space: the machines share the host's.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: %s
failCgroupV1: false
failSwapOn: false
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
staticPodPath: /etc/kubernetes/manifests
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, imagefs.available: 0%%, nodefs.inodesFree: 0%%}
imageGCHighThresholdPercent: 100
maxPods: 250
`

// proxyConfig takes the node's name, the mode, and the pools. The limits of
// connection tracking are the host's, and cannot be written in a namespace. It looks
// after its rules more often than by default, each 30 s.
const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.kubeconfig}
hostnameOverride: %s
mode: %s
clusterCIDR: %q
conntrack: {maxPerCore: 0, min: 0}
nftables: {syncPeriod: 5s}
iptables: {syncPeriod: 5s}
`

func (c *Cluster) proxyConfig(node string) string {
	var pools []string
	first := map[bool]bool{}
	for _, p := range c.Topology().Pools {
		// It takes one range of each family.
		if v4 := p.CIDR.Addr().Is4(); !first[v4] {
			first[v4] = true
			pools = append(pools, p.CIDR.String())
		}
	}
	return fmt.Sprintf(proxyConfig, node, c.opts.Proxy, strings.Join(pools, ","))
}

func join(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}
