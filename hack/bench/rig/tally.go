package rig

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// tallyBuffer holds the notifications of 100,000 routes that come faster than
// they are read; the kernel doubles the figure.
const tallyBuffer = 64 << 20

// Tally counts the IPv4 routes that the kernel tells of as new or changed, and
// notes when. It looks at nothing else, so that what it watches has the
// processors to itself; who wants to know which routes those are asks a Watcher.
type Tally struct {
	fd   int
	done chan struct{}

	mu    sync.Mutex
	times []time.Time // of each route since Reset
	// target is the count at which news is given a value: one who waits is not
	// woken for every route.
	target int
	news   chan struct{}
	failed error
}

// Count returns when every later change will be counted. Close ends it.
func Count(ns nstest.NS) (*Tally, error) {
	t := &Tally{done: make(chan struct{}), news: make(chan struct{}, 1)}
	if err := ns.Inside(t.open); err != nil {
		return nil, fmt.Errorf("count routes: %w", err)
	}
	go func() {
		defer close(t.done)
		t.run()
	}()
	return t, nil
}

func (t *Tally) open() (err error) {
	if t.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
		return err
	}
	// A read ends now and then, to see whether it is still wanted.
	wait := unix.NsecToTimeval(int64(50 * time.Millisecond))
	return errors.Join(
		unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tallyBuffer),
		unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(t.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(t.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_IPV4_ROUTE),
	)
}

// Close ends the counting.
func (t *Tally) Close() {
	t.fail(errors.New("closed"))
	<-t.done
	_ = unix.Close(t.fd) // it was only read
}

// run reads until it fails or is closed.
func (t *Tally) run() {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(t.fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			n = 0
		case err != nil: // ENOBUFS: some were lost, and there is no telling how many
			t.fail(err)
		}
		if t.note(buf[:max(n, 0)]) != nil {
			return
		}
	}
}

func (t *Tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = err
	}
	t.tell()
}

// tell is for who holds the lock.
func (t *Tally) tell() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// note counts the messages of a datagram, and says if there is no more to do.
func (t *Tally) note(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return t.failed
	}
	before := len(t.times)
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(b))
		if binary.NativeEndian.Uint16(b[4:]) == unix.RTM_NEWROUTE {
			t.times = append(t.times, time.Now())
		}
		b = b[min(max((length+3)&^3, unix.SizeofNlMsghdr), len(b)):]
	}
	if before < t.target && len(t.times) >= t.target {
		t.tell()
	}
	return nil
}

// Reset begins to count anew.
func (t *Tally) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = t.times[:0]
}

// Wait waits for so many routes and returns when the kernel told of the first
// and of the last of them. One may wait at a time.
func (t *Tally) Wait(ctx context.Context, bound time.Duration, count int) (first, last time.Time, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not within %v", bound))
	defer cancel()
	for {
		t.mu.Lock()
		t.target = count
		times, failed := t.times, t.failed
		t.mu.Unlock()
		switch {
		case failed != nil:
			return first, last, fmt.Errorf("count routes: %w", failed)
		case len(times) >= count:
			return times[0], times[count-1], nil
		}
		select {
		case <-t.news:
		case <-ctx.Done():
			return first, last, fmt.Errorf("%d of %d routes: %w", len(times), count, context.Cause(ctx))
		}
	}
}
