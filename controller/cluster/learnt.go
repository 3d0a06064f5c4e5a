package cluster

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"fairlead.dev/api/v1alpha1"
)

// learntFor is how long a created block is remembered although the cache does
// not show it: far longer than any watch lags, and an end, should it have been
// deleted before the cache saw it.
const learntFor = time.Minute

// learnt are blocks by UID, with when they were learnt of.
type learnt map[types.UID]learntBlock

type learntBlock struct {
	block v1alpha1.IPBlock
	at    time.Time
}

func (l learnt) add(blocks []v1alpha1.IPBlock) {
	for _, b := range blocks {
		l[b.UID] = learntBlock{b, time.Now()}
	}
}

// merge adds to s the blocks that its cache does not show yet, and forgets those
// that it shows.
func (l learnt) merge(s *State) {
	if len(l) == 0 {
		return
	}
	for i := range s.Blocks {
		delete(l, s.Blocks[i].UID)
	}
	for uid, b := range l {
		if s.Now.Sub(b.at) > learntFor {
			delete(l, uid)
			continue
		}
		s.Blocks = append(s.Blocks, b.block)
	}
	s.sort()
}
