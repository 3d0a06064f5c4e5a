package node

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns the newest view into metrics at each scrape, so that they
// cannot differ from what is reported. docs/metrics.md says what each calls for.
type collector struct {
	published *atomic.Pointer[published]
	desc      map[string]*prometheus.Desc
}

// Collector returns the agent's metrics.
func (a *Agent) Collector() prometheus.Collector {
	c := &collector{published: &a.view, desc: map[string]*prometheus.Desc{}}
	for name, help := range map[string]string{
		"fairlead_sessions_wanted":      "BGP sessions that this node should have.",
		"fairlead_sessions_established": "BGP sessions established.",
		"fairlead_routes_wanted":        "Kernel routes that this node should have.",
		"fairlead_routes_installed":     "Kernel routes read back from the kernel.",
		"fairlead_routes_failed":        "Kernel routes that the kernel refused.",
		"fairlead_routes_refused":       "Learned prefixes that would have cut the node off or hijacked its pods.",
		"fairlead_addresses_capacity":   "Pod addresses of the node's blocks.",
		"fairlead_addresses_used":       "Pod addresses in use.",
		"fairlead_blocks_asked":         "Blocks that this node asks for beyond those that it has.",
		"fairlead_problems":             "Objects that could not be used as written.",
		"fairlead_from_snapshot":        "1 while the configuration is the one remembered on disk.",
	} {
		c.desc[name] = prometheus.NewDesc(name, help, nil, nil)
	}
	c.desc["fairlead_condition"] = prometheus.NewDesc("fairlead_condition", "1 if the NodeState condition is True.", []string{"type"}, nil)
	return c
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.desc {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	v := c.published.Load()
	if v == nil {
		return
	}
	var capacity, used int64
	for _, b := range v.State.Blocks {
		if !b.IPAMOnly {
			capacity, used = capacity+min(b.Capacity, mostFree), used+b.Used
		}
	}
	for name, value := range map[string]int64{
		"fairlead_sessions_wanted":      v.State.SessionsWanted,
		"fairlead_sessions_established": v.State.SessionsEstablished,
		"fairlead_routes_wanted":        v.State.Routes.Wanted,
		"fairlead_routes_installed":     v.State.Routes.Installed,
		"fairlead_routes_failed":        v.State.Routes.Failed,
		"fairlead_routes_refused":       v.RoutesRefused,
		"fairlead_addresses_capacity":   capacity,
		"fairlead_addresses_used":       used,
		"fairlead_blocks_asked":         v.BlocksAsked,
		"fairlead_problems":             int64(len(v.Problems)),
		"fairlead_from_snapshot":        truth(v.Source == string(FromMemory)),
	} {
		ch <- prometheus.MustNewConstMetric(c.desc[name], prometheus.GaugeValue, float64(value))
	}
	for _, x := range v.State.Conditions {
		ch <- prometheus.MustNewConstMetric(c.desc["fairlead_condition"], prometheus.GaugeValue, float64(truth(x.Status == "True")), x.Type)
	}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
