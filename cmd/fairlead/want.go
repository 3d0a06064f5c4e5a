package main

import (
	"cmp"
	"slices"
	"strconv"

	"fairlead.dev/api/v1alpha1"
)

// want is how many blocks of a pool a node has, and how many it says it needs.
type want struct {
	node, pool, poolUID string
	has, needs          int64
}

// wants joins what nodes report with what is leased, sorted by node and pool.
func wants(blocks []v1alpha1.IPBlock, states []v1alpha1.NodeState) []want {
	type holder struct{ node, poolUID string }
	has := map[holder]int64{}
	for _, b := range blocks {
		if b.Spec.State == v1alpha1.BlockLeased {
			has[holder{b.Spec.NodeName, b.Spec.PoolUID}]++
		}
	}
	var out []want
	for _, s := range states {
		for _, w := range s.Status.WantedBlocks {
			out = append(out, want{s.Name, w.Pool, w.PoolUID, has[holder{s.Name, w.PoolUID}], w.Count})
		}
	}
	slices.SortFunc(out, func(a, b want) int { return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.pool, b.pool)) })
	return out
}

// askedTable shows who asks for more than it has; nil when nobody does.
func askedTable(f facts, onlyNode string) []table {
	t := table{title: "ASKED FOR", header: []string{"NODE", "POOL", "HAS", "NEEDS", "NOTE"}}
	for _, w := range only(slices.Clone(f.wants), onlyNode, func(w want) string { return w.node }) {
		if w.needs <= w.has {
			continue
		}
		t.rows = append(t.rows, []string{w.node, w.pool, strconv.FormatInt(w.has, 10), strconv.FormatInt(w.needs, 10), w.note(f.pools)})
	}
	if len(t.rows) == 0 {
		return nil
	}
	return []table{t}
}

// note says what keeps the pool from giving more, as far as the pool tells.
func (w want) note(pools []v1alpha1.IPPool) string {
	i := slices.IndexFunc(pools, func(p v1alpha1.IPPool) bool { return string(p.UID) == w.poolUID })
	switch {
	case i < 0:
		return "the pool is gone"
	case pools[i].Spec.EffectiveState() != v1alpha1.PoolActive:
		return "the pool is " + string(pools[i].Spec.EffectiveState())
	case pools[i].Spec.EffectiveSource() == v1alpha1.SourceNodeSpec:
		return "its podCIDR is all that the node has"
	case w.has >= int64(pools[i].Spec.EffectiveMaxBlocksPerNode()):
		return "maxBlocksPerNode is reached"
	case !isWellType(pools[i].Status.Conditions, v1alpha1.ConditionExhausted):
		return "the pool is exhausted"
	}
	return ""
}
