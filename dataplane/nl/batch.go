package nl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// batchSize is how many messages go out in one send. Beyond this the time per
// message falls no further, and the refusals of all of them must find room in
// receiveBuffer at once.
const batchSize = 256

// ErrUnanswered is the result of a message whose answer was lost: it may or may
// not have been obeyed.
var ErrUnanswered = errors.New("the kernel's answer was lost")

// Batch sends requests and returns for each whether the kernel obeyed: nil, an
// *Error, or ErrUnanswered, as Send does.
func (c *Conn) Batch(msgs []Message) []error {
	results := make([]error, len(msgs))
	c.Send(len(msgs), func(i int, b []byte) []byte { return append(b, msgs[i].Serialize()...) },
		func(i int, err error) { results[i] = err })
	return results
}

// Send sends n requests, many in one send, in order. message appends the i-th to
// b, header and all; refused is told of each that the kernel did not obey, with an
// *Error, or whose answer was lost, with ErrUnanswered. One refused message does
// not stop the others. An error of the socket itself is the result of every
// message that it leaves unanswered.
//
// The kernel works a send off message by message, and answers each that it
// refuses, whether it was asked to or not (netlink_rcv_skb). So only the last one
// asks for an acknowledgement, which says that all before it are done: an
// acknowledgement each would take a third more time.
func (c *Conn) Send(n int, message func(i int, b []byte) []byte, refused func(i int, err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	results := make([]error, min(n, batchSize))
	for start := 0; start < n; start += batchSize {
		results = results[:min(n-start, batchSize)]
		clear(results)
		out = out[:0]
		first := c.seq + 1
		for i := range results {
			out = c.number(out, message(start+i, out), i == len(results)-1)
		}
		c.exchange(out, first, results)
		for i, err := range results {
			if err != nil {
				refused(start+i, err)
			}
		}
	}
}

// number completes the header of the message that was added to a batch.
func (c *Conn) number(before, after []byte, last bool) []byte {
	header := after[len(before):]
	binary.NativeEndian.PutUint32(header, uint32(len(header)))
	if last {
		flags := binary.NativeEndian.Uint16(header[6:])
		binary.NativeEndian.PutUint16(header[6:], flags|unix.NLM_F_ACK)
	}
	binary.NativeEndian.PutUint32(header[8:], c.next())
	return after
}

// exchange sends one batch, numbered from first, and fills in the results.
func (c *Conn) exchange(out []byte, first uint32, results []error) {
	if err := c.send(out); err != nil {
		fill(results, fmt.Errorf("send to the kernel: %w", err))
		return
	}
	for a := (answers{first: first, results: results}); !a.done; {
		if err := c.receive(a.take); err != nil {
			fill(results, fmt.Errorf("%w: %w", ErrUnanswered, err))
			return
		}
	}
}

// answers are those to one batch as far as they were read.
type answers struct {
	first   uint32 // number of the batch's first message
	results []error
	done    bool
}

func (a *answers) take(h unix.NlMsghdr, body []byte) error {
	i := h.Seq - a.first // wraps round as the numbers do
	if h.Type != unix.NLMSG_ERROR || uint64(i) >= uint64(len(a.results)) {
		return nil // late answer to an earlier exchange
	}
	result, malformed := parseAck(h.Flags, body)
	a.results[i] = result
	a.done = int(i) == len(a.results)-1
	return malformed
}

// fill gives err to every message that was not refused by an answer of its own.
func fill(results []error, err error) {
	for i := range results {
		if results[i] == nil {
			results[i] = err
		}
	}
}
