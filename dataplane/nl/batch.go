package nl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// batchSize is how many messages go out in one send. Beyond this the time per
// message falls no further, and all their acknowledgements must find room in
// receiveBuffer at once.
const batchSize = 256

// ErrUnanswered is the result of a message whose acknowledgement was lost: it
// may or may not have been obeyed.
var ErrUnanswered = errors.New("the kernel's answer was lost")

// Batch sends requests, many in one send, in order, and returns for each
// whether the kernel obeyed: nil, an *Error, or ErrUnanswered. One refused
// message does not stop the others. An error of the socket itself is the result
// of every message that it leaves unanswered.
func (c *Conn) Batch(msgs []Message) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	results := make([]error, len(msgs))
	for start := 0; start < len(msgs); start += batchSize {
		end := min(start+batchSize, len(msgs))
		c.chunk(msgs[start:end], results[start:end])
	}
	return results
}

func (c *Conn) chunk(msgs []Message, results []error) {
	var out []byte
	first := c.seq + 1
	for i, m := range msgs {
		m.Flags |= unix.NLM_F_ACK
		m.Seq = c.next()
		out = append(out, m.Serialize()...)
		results[i] = ErrUnanswered
	}
	if err := c.send(out); err != nil {
		fill(results, fmt.Errorf("send to the kernel: %w", err))
		return
	}
	for pending := len(msgs); pending > 0; {
		err := c.receive(func(h unix.NlMsghdr, body []byte) error {
			i := h.Seq - first // wraps round as the numbers do
			if h.Type != unix.NLMSG_ERROR || uint64(i) >= uint64(len(results)) {
				return nil // late answer to an earlier exchange
			}
			result, malformed := parseAck(h.Flags, body)
			results[i] = result
			pending--
			return malformed
		})
		if err != nil {
			fill(results, fmt.Errorf("%w: %w", ErrUnanswered, err))
			return
		}
	}
}

// fill gives err to every message that has no answer yet.
func fill(results []error, err error) {
	for i := range results {
		if results[i] == ErrUnanswered { //nolint:errorlint // the very value set before the send
			results[i] = err
		}
	}
}
