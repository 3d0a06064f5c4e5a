package nl

import (
	"encoding/binary"
	"errors"
	"fmt"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrInterrupted is a dump during which the table changed, each time that it
// was tried: entries may be missing from it or be there twice. What it does
// hold is returned with the error; what it does not hold proves nothing.
var ErrInterrupted = errors.New("dump interrupted by changes")

// dumpAttempts bounds how often an interrupted dump is tried again.
const dumpAttempts = 5

// collect dumps and keeps what parse makes of each entry and keeps.
func collect[T any](c *Conn, req Message, group int, parse func(body []byte) (item T, keep bool, err error)) ([]T, error) {
	var items []T
	err := c.attempt(req, group, func() func([]byte) error {
		items = items[:0]
		return func(body []byte) error {
			item, keep, err := parse(body)
			if keep {
				items = append(items, item)
			}
			return err
		}
	})
	return items, err
}

// attempt dumps, and does so again while it is interrupted, dumpAttempts times at
// most. Each time start says who is handed the entries: they are all that there
// is, unless the error is ErrInterrupted, and those of earlier times are void. Of
// a group (RTNLGRP_*_ROUTE, 0 for none) a notification during the dump counts as
// an interruption.
//
// The kernel itself does not say when a route dump was upset by a change: neither
// family's sets NLM_F_DUMP_INTR. IPv6 goes back to the start of the tree after
// a change and skips as many entries as it had told, so that one removed
// meanwhile hides another that is there, and one added makes another appear
// twice (fib6_dump_table). It notifies under the same lock as it changes and
// walks, so no such change escapes a member of the group.
func (c *Conn) attempt(req Message, group int, start func() (each func(body []byte) error)) error {
	var err error
	for range dumpAttempts {
		each := start()
		err = c.watched(group, func() error { return c.dump(req, group, each) })
		if !errors.Is(err, ErrInterrupted) {
			break
		}
	}
	return err
}

// watched dumps as a member of the group.
func (c *Conn) watched(group int, dump func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if group == 0 {
		return dump()
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
		return fmt.Errorf("join rtnetlink group %d: %w", group, err)
	}
	err := dump()
	if leaveErr := c.leave(group); leaveErr != nil {
		return errors.Join(err, leaveErr)
	}
	changed, drainErr := c.drain()
	if err == nil && drainErr == nil && changed {
		return ErrInterrupted
	}
	return errors.Join(err, drainErr)
}

// leave ends a membership; one that is not there is success.
func (c *Conn) leave(group int) error {
	if group == 0 {
		return nil
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, group); err != nil {
		return fmt.Errorf("leave rtnetlink group %d: %w", group, err)
	}
	return nil
}

// drain reads the notifications that the dump left. They are all there: the
// socket has left the group.
func (c *Conn) drain() (changed bool, err error) {
	for {
		err := c.receive(func(h unix.NlMsghdr, body []byte) error {
			changed = changed || tellsOfMain(h, body)
			return nil
		})
		switch {
		case errors.Is(err, unix.ENOBUFS):
			changed = true
		case errors.Is(err, unix.EAGAIN):
			return changed, nil
		case err != nil:
			return changed, fmt.Errorf("read notifications: %w", err)
		}
	}
}

// tellsOfMain says that a message is the notification of a change in the main
// table: each IPv6 table has a tree of its own, and addresses of pods come and
// go in the local one. Entries of a dump, unlike it, are marked as parts of one.
func tellsOfMain(h unix.NlMsghdr, body []byte) bool {
	return (h.Type == unix.RTM_NEWROUTE || h.Type == unix.RTM_DELROUTE) &&
		(len(body) < unix.SizeofRtMsg || rtnl.DeserializeRtMsg(body).Table == unix.RT_TABLE_MAIN)
}

// dump hands every entry to each. An error of each ends the dump after the rest
// of it was read, so that the socket is ready for the next exchange. It leaves the
// group whose notifications take the room for the dump. The caller holds c.mu.
func (c *Conn) dump(req Message, group int, each func(body []byte) error) error {
	req.Flags |= unix.NLM_F_DUMP
	req.Seq = c.next()
	if err := c.send(req.Serialize()); err != nil {
		return fmt.Errorf("send to the kernel: %w", err)
	}
	d := dumping{seq: req.Seq, each: each}
	for nudges := 0; !d.done; {
		err := c.receive(d.take) // most dumps are no longer
		if err == nil && !d.done {
			err = c.receiveAhead(d.take)
		}
		switch {
		case errors.Is(err, unix.ENOBUFS): // notifications were lost; the dump goes on
			d.interrupted, err = true, nil
		case d.done && errors.Is(err, unix.EAGAIN):
			err = nil
		case errors.Is(err, unix.EAGAIN) && nudges < maxNudges:
			d.interrupted = true
			nudges++
			err = errors.Join(c.leave(group), c.nudge())
		}
		if err != nil {
			return fmt.Errorf("read from the kernel: %w", err)
		}
	}
	return d.result()
}

// dumping is a dump as far as it was read.
type dumping struct {
	seq               uint32 // of its request
	each              func(body []byte) error
	interrupted, done bool
	failed            error
}

// take takes in a message: of the dump, or a notification meanwhile.
func (d *dumping) take(h unix.NlMsghdr, body []byte) error {
	if h.Flags&unix.NLM_F_DUMP_INTR != 0 {
		d.interrupted = true
	}
	switch {
	case h.Seq == d.seq && (h.Type == unix.NLMSG_DONE || h.Type == unix.NLMSG_ERROR):
		d.done = true
		end := endOfDump(body)
		if errors.Is(end, unix.ENOBUFS) { // notifications left it no room to begin; watched reads what still comes
			d.interrupted, end = true, nil
		}
		d.failed = errors.Join(d.failed, end)
	case h.Flags&unix.NLM_F_MULTI == 0:
		d.interrupted = d.interrupted || tellsOfMain(h, body)
	case d.failed == nil && h.Seq == d.seq: // and no late answer to an earlier exchange
		d.failed = d.each(body)
	}
	return nil
}

func (d *dumping) result() error {
	if d.failed == nil && d.interrupted {
		return ErrInterrupted
	}
	return d.failed
}

// maxNudges bounds how often one dump is nudged. Each asks for room once more.
const maxNudges = 1000

// nudge makes the kernel go on with a dump that it gave up for a moment because
// notifications had taken all the room (netlink_dump): it does so only when there
// is something to read, and all of that may have been read by then. The answer to
// nothing is something.
func (c *Conn) nudge() error {
	req := request(unix.NLMSG_NOOP, unix.NLM_F_ACK)
	req.Seq = c.next()
	return c.send(req.Serialize())
}

// endOfDump reads the negative errno with which NLMSG_DONE and NLMSG_ERROR begin.
func endOfDump(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("%w: end of dump of %d bytes", ErrMalformed, len(body))
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return &Error{Errno: unix.Errno(-code)}
	}
	return nil
}
