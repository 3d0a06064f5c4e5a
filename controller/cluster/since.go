package cluster

import (
	"slices"
	"time"
)

// since remembers when each of a set of things was first seen.
type since map[string]time.Time

// update forgets what is not present, and dates what is new.
func (s since) update(now time.Time, present []string) {
	keep := make(map[string]bool, len(present))
	for _, k := range present {
		keep[k] = true
		if _, found := s[k]; !found {
			s[k] = now
		}
	}
	for k := range s {
		if !keep[k] {
			delete(s, k)
		}
	}
}

// due returns what was first seen at least wait ago, and how long it is until the
// next of the others was.
func (s since) due(now time.Time, wait time.Duration) (over map[string]bool, next time.Duration) {
	over = map[string]bool{}
	for k, t := range s {
		if left := t.Add(wait).Sub(now); left > 0 {
			next = earliest(next, left)
		} else {
			over[k] = true
		}
	}
	return over, next
}

// earliest returns the shortest of the waits that are set, 0 when none is.
func earliest(waits ...time.Duration) time.Duration {
	waits = slices.DeleteFunc(waits, func(d time.Duration) bool { return d <= 0 })
	if len(waits) == 0 {
		return 0
	}
	return slices.Min(waits)
}
