package cluster

import (
	"sync/atomic"
	"time"
)

// durationCell is a duration that one goroutine writes and others read.
type durationCell struct{ nanoseconds atomic.Int64 }

func (c *durationCell) set(d time.Duration) { c.nanoseconds.Store(int64(d)) }
func (c *durationCell) get() time.Duration  { return time.Duration(c.nanoseconds.Load()) }
