package nl

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Error is the kernel's refusal of one message.
type Error struct {
	Errno unix.Errno
	// Text is what the kernel says beyond the number (NLMSGERR_ATTR_MSG), often "".
	Text string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Text + ": " + e.Errno.Error()
}

// Unwrap gives the number to errors.Is.
func (e *Error) Unwrap() error { return e.Errno }

// parseAck reads the body of an NLMSG_ERROR: struct nlmsgerr (a negative errno,
// the header of the request), the request itself unless capped, attributes.
// A nil result is a plain acknowledgement.
func parseAck(flags uint16, body []byte) (result, malformed error) {
	const fixed = 4 + unix.SizeofNlMsghdr
	if len(body) < fixed {
		return nil, fmt.Errorf("%w: acknowledgement of %d bytes", ErrMalformed, len(body))
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code == 0 {
		return nil, nil
	}
	refusal := &Error{Errno: unix.Errno(-code)}
	if flags&unix.NLM_F_ACK_TLVS == 0 {
		return refusal, nil
	}
	skip := fixed
	if flags&unix.NLM_F_CAPPED == 0 {
		skip = 4 + aligned(int(binary.NativeEndian.Uint32(body[4:])))
	}
	if skip < fixed || skip > len(body) {
		return nil, fmt.Errorf("%w: acknowledgement without its attributes", ErrMalformed)
	}
	err := attrs(body[skip:], func(typ uint16, value []byte) error {
		if typ == unix.NLMSGERR_ATTR_MSG {
			refusal.Text = strings.TrimRight(string(value), "\x00")
		}
		return nil
	})
	return refusal, err
}
