package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"fairlead.dev/api/v1alpha1"
)

// metrics of one controller.
type metrics struct {
	blocks      *prometheus.GaugeVec
	transitions *prometheus.CounterVec
	waiting     prometheus.Gauge
	limited     prometheus.Gauge
	unheard     prometheus.Gauge
	passSeconds *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		blocks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fairlead_blocks", Help: "IPBlocks by state.",
		}, []string{"state"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_block_transitions_total", Help: "IPBlocks that this controller created, changed or deleted, by what they became.",
		}, []string{"state"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_leases_waiting", Help: "Nodes that wait for a block since their pool is exhausted, or refuses their podCIDR, summed up over pools.",
		}),
		limited: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_leases_limited", Help: "Nodes that ask for more blocks than maxBlocksPerNode, summed up over pools.",
		}),
		unheard: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_agents_unreachable", Help: "Nodes whose NodeState is only what was last known (AgentReachable=Unknown).",
		}),
		passSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairlead_controller_pass_seconds", Help: "Time that one pass over the cluster took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"pass"}),
	}
}

// register adds the metrics to r and returns what takes them out again.
func (m *metrics) register(r prometheus.Registerer) (remove func(), err error) {
	all := []prometheus.Collector{m.blocks, m.transitions, m.waiting, m.limited, m.unheard, m.passSeconds}
	remove = func() {
		for _, c := range all {
			r.Unregister(c)
		}
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			remove()
			return nil, err
		}
	}
	return remove, nil
}

func (m *metrics) observeBlocks(blocks []v1alpha1.IPBlock) {
	count := map[v1alpha1.BlockState]int{
		v1alpha1.BlockLeased: 0, v1alpha1.BlockDraining: 0, v1alpha1.BlockCooling: 0,
	}
	for i := range blocks {
		count[blocks[i].Spec.State]++
	}
	for state, n := range count {
		m.blocks.WithLabelValues(string(state)).Set(float64(n))
	}
}
