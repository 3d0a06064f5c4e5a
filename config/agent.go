package config

import (
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"fairlead.dev/cniplugin/rundir"
)

// Agent are the settings of fairlead-agent.
type Agent struct {
	Kubeconfig      string
	Namespace       string
	NodeName        string
	RunDir          string
	StateDir        string
	SysctlDir       string
	CNIBinDir       string
	CNIConfDir      string
	CNIHostPorts    string
	CNIBandwidth    bool
	CNIMTU          uint32
	VXLANVNI        uint32
	VXLANPort       uint32
	NodeGracePeriod time.Duration
	SyncInterval    time.Duration
	ResyncInterval  time.Duration
	EndOfRIBTimeout time.Duration
	HealthAddress   string
	MetricsAddress  string
	LogLevel        slog.Level
}

// Values of CNIHostPorts.
const (
	HostPortsNFTables = "nftables"
	HostPortsIPTables = "iptables"
	HostPortsNone     = "none"
)

// DefaultAgent are the settings of an agent that is told nothing but its node's name.
func DefaultAgent() Agent {
	return Agent{
		Namespace:       DefaultNamespace,
		RunDir:          rundir.Default,
		StateDir:        "/var/lib/fairlead",
		SysctlDir:       "/proc/sys",
		CNIBinDir:       "/opt/cni/bin",
		CNIConfDir:      "/etc/cni/net.d",
		CNIHostPorts:    HostPortsNFTables,
		CNIBandwidth:    true,
		VXLANVNI:        4096,
		VXLANPort:       4789,
		NodeGracePeriod: 5 * time.Minute,
		SyncInterval:    100 * time.Millisecond,
		ResyncInterval:  time.Minute,
		EndOfRIBTimeout: 2 * time.Minute,
		HealthAddress:   "127.0.0.1:9471",
		MetricsAddress:  ":9470",
		LogLevel:        slog.LevelInfo,
	}
}

// Bind defines the settings; their present values are the defaults.
func (a *Agent) Bind(fs *pflag.FlagSet) {
	bindCommon(fs, &a.Kubeconfig, &a.Namespace, &a.HealthAddress, &a.MetricsAddress, &a.LogLevel)
	a.bindPlaces(fs)
	a.bindCNI(fs)
	a.bindVXLAN(fs)
	a.bindTimes(fs)
}

func (a *Agent) bindPlaces(fs *pflag.FlagSet) {
	fs.StringVar(&a.NodeName, "node-name", a.NodeName,
		"Name of the Node that this agent serves. Required.")
	fs.StringVar(&a.RunDir, "run-dir", a.RunDir,
		"Folder on tmpfs for the address store and the agent's socket.")
	fs.StringVar(&a.StateDir, "state-dir", a.StateDir,
		"Folder on disk for what outlives a reboot: the last good snapshot. Root only, as it holds session keys.")
	fs.StringVar(&a.SysctlDir, "sysctl-dir", a.SysctlDir,
		"Folder of the node's sysctls. /proc/sys is read-only in a container that is not privileged; the chart mounts it elsewhere.")
}

func (a *Agent) bindCNI(fs *pflag.FlagSet) {
	fs.StringVar(&a.CNIBinDir, "cni-bin-dir", a.CNIBinDir,
		"Folder where the container runtime looks for CNI plugins.")
	fs.StringVar(&a.CNIConfDir, "cni-conf-dir", a.CNIConfDir,
		"Folder where the container runtime looks for CNI configuration.")
	fs.StringVar(&a.CNIHostPorts, "cni-host-ports", a.CNIHostPorts,
		"How pods get their host ports: nftables or iptables, which need the program nft or iptables on the node, or none, where something else makes them.")
	fs.Uint32Var(&a.CNIMTU, "cni-mtu", a.CNIMTU,
		"MTU of pods' links; 0 takes the smallest of the uplinks that default routes lead to, less what VXLAN adds where a pool has an encapsulation.")
	fs.BoolVar(&a.CNIBandwidth, "cni-bandwidth", a.CNIBandwidth,
		"Limit the traffic of pods that ask for it (kubernetes.io/ingress-bandwidth, egress-bandwidth); off where something else does.")
}

func (a *Agent) bindVXLAN(fs *pflag.FlagSet) {
	fs.Uint32Var(&a.VXLANVNI, "vxlan-vni", a.VXLANVNI,
		"VXLAN network identifier of pools with an encapsulation. The same on all nodes: nodes that differ reach each other as BGP says.")
	fs.Uint32Var(&a.VXLANPort, "vxlan-port", a.VXLANPort,
		"UDP port of VXLAN. The same on all nodes, as vxlanVNI.")
}

func (a *Agent) bindTimes(fs *pflag.FlagSet) {
	fs.DurationVar(&a.NodeGracePeriod, "node-grace-period", a.NodeGracePeriod,
		"The controller's nodeGracePeriod: leases remembered on disk are void after half of it.")
	fs.DurationVar(&a.SyncInterval, "sync-interval", a.SyncInterval,
		"Least time between two syncs of the node, against bursts of events.")
	fs.DurationVar(&a.ResyncInterval, "resync-interval", a.ResyncInterval,
		"Time between full syncs without an event, against drift.")
	fs.DurationVar(&a.EndOfRIBTimeout, "end-of-rib-timeout", a.EndOfRIBTimeout,
		"How long after its start the agent waits for every peer's routes before it deletes a route (RFC 4724 Selection_Deferral_Timer).")
}

// maxRunDir leaves room for the socket's name in sun_path, which has 108 bytes
// with its final zero (unix(7)).
const maxRunDir = 96

// Limits of cniMTU: the least that IPv6 works with (RFC 8200 section 5), and the
// largest packet of IPv4.
const (
	minMTU = 1280
	maxMTU = 65535
)

// maxVNI is the largest of 24 bits (RFC 7348 section 5).
const maxVNI = 1<<24 - 1

// Validate joins everything that is wrong with the settings, each by its key.
func (a *Agent) Validate() error {
	var p problems
	p.common(a.Namespace, a.HealthAddress, a.MetricsAddress)
	p.nodeName("nodeName", a.NodeName)
	p.absolute("runDir", a.RunDir)
	p.absolute("stateDir", a.StateDir)
	p.absolute("sysctlDir", a.SysctlDir)
	p.absolute("cniBinDir", a.CNIBinDir)
	p.absolute("cniConfDir", a.CNIConfDir)
	if a.CNIMTU != 0 && (a.CNIMTU < minMTU || a.CNIMTU > maxMTU) {
		p.add("cniMTU", "is %d: must be 0, or %d to %d", a.CNIMTU, minMTU, maxMTU)
	}
	if a.VXLANVNI < 1 || a.VXLANVNI > maxVNI {
		p.add("vxlanVNI", "is %d: must be 1 to %d", a.VXLANVNI, maxVNI)
	}
	if a.VXLANPort < 1 || a.VXLANPort > 65535 {
		p.add("vxlanPort", "is %d: must be 1 to 65535", a.VXLANPort)
	}
	p.oneOf("cniHostPorts", a.CNIHostPorts, HostPortsNFTables, HostPortsIPTables, HostPortsNone)
	if len(a.RunDir) > maxRunDir {
		p.add("runDir", "has %d bytes: at most %d, so that the path of the socket in it is not too long", len(a.RunDir), maxRunDir)
	}
	p.positive("nodeGracePeriod", a.NodeGracePeriod)
	p.positive("syncInterval", a.SyncInterval)
	p.positive("endOfRIBTimeout", a.EndOfRIBTimeout)
	if a.ResyncInterval < a.SyncInterval {
		p.add("resyncInterval", "is %s: must be at least syncInterval (%s)", a.ResyncInterval, a.SyncInterval)
	}
	return p.join()
}
