package overlay

import (
	"maps"
	"slices"

	"fairlead.dev/dataplane"
)

// diff turns a table into the wanted one: the keys to set, and those to remove,
// each sorted. A key is as wanted if it is there once, with the wanted value.
func diff[K, V comparable](want map[K]V, have map[K][]V, compare func(a, b K) int) (set, remove []K) {
	for key, value := range want {
		if values := have[key]; len(values) != 1 || values[0] != value {
			set = append(set, key)
		}
	}
	for key := range maps.Keys(have) {
		if _, wanted := want[key]; !wanted {
			remove = append(remove, key)
		}
	}
	slices.SortFunc(set, compare)
	slices.SortFunc(remove, compare)
	return set, remove
}

// tables are what an Overlay says of its forwarding entries and its neighbours.
func tables(o dataplane.Overlay) (forwards forwardTable, neighbours neighbourTable) {
	forwards, neighbours = forwardTable{}, neighbourTable{}
	for _, v := range o.VTEPs {
		forwards[v.MAC] = v.Underlay
		for _, n := range v.Neighbours {
			neighbours[n] = v.MAC
		}
	}
	return forwards, neighbours
}
