package lab

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"time"
)

// pingInterval is between the packets of a ping.
const pingInterval = 10 * time.Millisecond

// Loss is the outcome of a ping.
type Loss struct{ Sent, Received int }

// Lost counts the packets that did not come back.
func (p Loss) Lost() int { return p.Sent - p.Received }

func (p Loss) String() string { return fmt.Sprintf("%d of %d lost", p.Lost(), p.Sent) }

// Ping sends count packets from a role's or pod's namespace, 10 ms apart, and
// waits at most 1 s for the last answer. Lost packets are no error.
func (l *Lab) Ping(ctx context.Context, role string, to netip.Addr, count int) (Loss, error) {
	out, err := l.Exec(ctx, role, "ping", "-q", "-n", "-i", fmt.Sprint(pingInterval.Seconds()),
		"-c", strconv.Itoa(count), "-W", "1", to.String())
	loss, ok := parsePing(out)
	if !ok {
		return Loss{}, fmt.Errorf("ping %s from %s: %w: %s", to, role, err, out)
	}
	return loss, nil
}

var pingSummary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

func parsePing(out string) (Loss, bool) {
	m := pingSummary.FindStringSubmatch(out)
	if m == nil {
		return Loss{}, false
	}
	sent, _ := strconv.Atoi(m[1])
	received, _ := strconv.Atoi(m[2])
	return Loss{Sent: sent, Received: received}, true
}
