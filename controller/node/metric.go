package node

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/controller/plan"
	"fairlead.dev/controller/view"
)

// gauge is one metric of the view.
type gauge struct {
	name, help string
	value      func(view.Node) int64
}

// gauges are all of them but the conditions. docs/metrics.md says what each calls for.
func gauges() []gauge {
	return []gauge{
		{"fairlead_sessions_wanted", "BGP sessions that this node should have.", func(v view.Node) int64 { return v.State.SessionsWanted }},
		{"fairlead_sessions_established", "BGP sessions established.", func(v view.Node) int64 { return v.State.SessionsEstablished }},
		{"fairlead_routes_wanted", "Kernel routes that this node should have.", func(v view.Node) int64 { return v.State.Routes.Wanted }},
		{"fairlead_routes_installed", "Kernel routes read back from the kernel.", func(v view.Node) int64 { return v.State.Routes.Installed }},
		{"fairlead_routes_failed", "Kernel routes that the kernel refused.", func(v view.Node) int64 { return v.State.Routes.Failed }},
		{"fairlead_routes_refused", "Learned prefixes that would have cut the node off or hijacked its pods.", func(v view.Node) int64 { return v.RoutesRefused }},
		{"fairlead_addresses_capacity", "Pod addresses of the node's blocks.", func(v view.Node) int64 { return podAddresses(v).capacity }},
		{"fairlead_addresses_used", "Pod addresses in use.", func(v view.Node) int64 { return podAddresses(v).used }},
		{"fairlead_blocks_asked", "Blocks that this node asks for beyond those that it has.", func(v view.Node) int64 { return v.BlocksAsked }},
		{"fairlead_problems", "Objects that could not be used as written.", func(v view.Node) int64 { return int64(len(v.Problems)) }},
		{"fairlead_from_snapshot", "1 while the configuration is the one remembered on disk.", func(v view.Node) int64 { return truth(v.Source == view.FromSnapshot) }},
	}
}

// podAddresses sums up the blocks that are for pods.
func podAddresses(v view.Node) (sum struct{ capacity, used int64 }) {
	for _, b := range v.State.Blocks {
		if !b.IPAMOnly {
			sum.capacity, sum.used = sum.capacity+min(b.Capacity, plan.MostRoom), sum.used+b.Used
		}
	}
	return sum
}

// collector turns the newest view into metrics at each scrape, so that they
// cannot differ from what is reported.
type collector struct {
	published *atomic.Pointer[published]
	gauges    []gauge
	desc      []*prometheus.Desc // of gauges
	condition *prometheus.Desc
}

// Collector returns the agent's metrics.
func (a *Agent) Collector() prometheus.Collector {
	c := &collector{
		published: &a.view, gauges: gauges(),
		condition: prometheus.NewDesc("fairlead_condition", "1 if the NodeState condition is True.", []string{"type"}, nil),
	}
	for _, g := range c.gauges {
		c.desc = append(c.desc, prometheus.NewDesc(g.name, g.help, nil, nil))
	}
	return c
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.desc {
		ch <- d
	}
	ch <- c.condition
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	v := c.published.Load()
	if v == nil {
		return
	}
	for i, g := range c.gauges {
		ch <- prometheus.MustNewConstMetric(c.desc[i], prometheus.GaugeValue, float64(g.value(v.Node)))
	}
	for _, x := range v.State.Conditions {
		ch <- prometheus.MustNewConstMetric(c.condition, prometheus.GaugeValue, float64(truth(x.Status == metav1.ConditionTrue)), x.Type)
	}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
