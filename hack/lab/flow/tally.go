package flow

import (
	"fmt"
	"math/bits"
	"net/netip"
)

// Count is the outcome of a flow.
type Count struct {
	// Sent counts packets that the sender gave to its kernel, refused ones too.
	Sent int
	// Received counts packets that came, each once.
	Received int
	// Duplicated counts packets that had come before.
	Duplicated int
	// Reordered counts packets that came after one that was sent later.
	Reordered int
	// Gaps are the first runs of lost packets, by number from 0.
	Gaps []Gap
	// Sources are the senders that the receiver saw.
	Sources map[netip.Addr]int
	// Overrun counts packets that this machine's CPUs dropped meanwhile, of
	// whatever flow, because their queues were full: nobody's route is to blame.
	Overrun int
	// Refused is the first error of the sender's own kernel, nil if none.
	Refused error
}

// Gap is a run of packets that did not come.
type Gap struct{ First, Last int }

// maxGaps is how many gaps a Count lists.
const maxGaps = 8

// Lost counts packets that did not come.
func (c Count) Lost() int { return c.Sent - c.Received }

func (c Count) String() string {
	s := fmt.Sprintf("%d packets: %d lost, %d twice, %d out of order", c.Sent, c.Lost(), c.Duplicated, c.Reordered)
	if len(c.Gaps) > 0 {
		s += fmt.Sprintf(", gaps %v", c.Gaps)
	}
	if c.Overrun > 0 {
		s += fmt.Sprintf(", %d dropped by full queues of the machine", c.Overrun)
	}
	if c.Refused != nil {
		s += fmt.Sprintf(", refused: %v", c.Refused)
	}
	return s
}

// tally is what a receiver notes.
type tally struct {
	seen       []uint64 // a bit for each number
	next       uint64   // the highest number so far, and one
	duplicated int
	reordered  int
	sources    map[netip.Addr]int
}

// note takes a packet down.
func (t *tally) note(number uint64, from netip.Addr) (first bool) {
	word, bit := number/64, uint64(1)<<(number%64)
	for uint64(len(t.seen)) <= word {
		t.seen = append(t.seen, 0)
	}
	if t.seen[word]&bit != 0 {
		t.duplicated++
		return false
	}
	t.seen[word] |= bit
	t.sources[from]++
	if number < t.next {
		t.reordered++
		return true
	}
	t.next = number + 1
	return true
}

// count is the outcome after so many packets were sent.
func (t *tally) count(sent int) Count {
	c := Count{Sent: sent, Duplicated: t.duplicated, Reordered: t.reordered, Sources: t.sources}
	for _, word := range t.seen {
		c.Received += bits.OnesCount64(word)
	}
	for n := 0; n < sent; n++ {
		if word := n / 64; word < len(t.seen) && t.seen[word]&(1<<(n%64)) != 0 {
			continue
		}
		switch last := len(c.Gaps) - 1; {
		case last >= 0 && c.Gaps[last].Last == n-1:
			c.Gaps[last].Last = n
		case len(c.Gaps) < maxGaps:
			c.Gaps = append(c.Gaps, Gap{First: n, Last: n})
		default:
			return c
		}
	}
	return c
}
