package measure

import (
	"math"
	"slices"
	"time"
)

// Sample is what was measured of one thing, in the order in which it was.
type Sample []float64

// Add adds a duration, in milliseconds.
func (s *Sample) Add(d time.Duration) { *s = append(*s, float64(d)/float64(time.Millisecond)) }

// Median is the middle value.
func (s Sample) Median() float64 { return s.Quantile(0.5) }

// P99 is the value that one in a hundred is above.
func (s Sample) P99() float64 { return s.Quantile(0.99) }

// Quantile is the value that the share q (0 to 1) of the sample does not exceed,
// interpolated between the two nearest (R's type 7); NaN of an empty sample.
func (s Sample) Quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Pair is what was measured of ourselves and of a peer, in turns.
type Pair struct{ Ours, Peer Sample }

// Median is the row of both medians.
func (p Pair) Median(area, name, unit, peer string) Row {
	return Row{Area: area, Name: name, Unit: unit, Value: p.Ours.Median()}.Against(peer, p.Peer.Median())
}

// P99 is the row of both 99th percentiles, its name with "-p99" at the end.
func (p Pair) P99(area, name, unit, peer string) Row {
	return Row{Area: area, Name: name + "-p99", Unit: unit, Value: p.Ours.P99()}.Against(peer, p.Peer.P99())
}
