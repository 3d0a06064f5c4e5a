package flow

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// Way is from where to where a flow goes.
type Way struct {
	From, To nstest.NS
	// Source is the sender's address. Default: the kernel's choice.
	Source netip.Addr
	// Target is what the sender sends to. Port 0 is the receiver's.
	Target netip.AddrPort
	// Port is the receiver's, at all of its addresses. Default: any free one.
	Port uint16
	// Answered has the receiver answer the first packet, so that the connection
	// trackers on the way take the flow for one that is established.
	Answered bool
}

// Flow is a stream of packets that goes on until Stop.
type Flow struct {
	way     Way
	id      uint64
	in, out *net.UDPConn
	overrun int // of the machine, at the start

	stop    chan struct{}
	running sync.WaitGroup

	// The sender's, until it has ended.
	sent    int
	refused error
	// The receiver's, until it has ended.
	tally tally

	// total is set when the sender has ended; until then it is -1.
	total, received atomic.Int64
}

const (
	// buffer of the receiver: at 10,000 small packets a second, some seconds.
	buffer = 64 << 20
	// patience with the last packets after the sender has ended.
	patience = 2 * time.Second
	// awaitBound is how long Await waits on a busy machine.
	awaitBound = 30 * time.Second
	awaitTick  = 5 * time.Millisecond
	// size of a packet's payload: the flow's name, the packet's number, and room
	// that makes it no smaller than what people send.
	size = 64
)

// Start starts a flow of 10,000 packets a second, which ends with ctx, uncounted,
// if it is not stopped before.
func Start(ctx context.Context, way Way) (*Flow, error) {
	f := &Flow{way: way, stop: make(chan struct{}), tally: tally{sources: map[netip.Addr]int{}}}
	f.total.Store(-1)
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails (crypto/rand)
	f.id = binary.BigEndian.Uint64(name[:])
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("flow from %s to %s: %w", way.From.Name, way.Target, err)
	}
	var err error
	if f.overrun, err = overrun(); err != nil {
		return nil, errors.Join(err, f.in.Close(), f.out.Close())
	}
	f.running.Go(f.receive)
	f.running.Go(f.send)
	context.AfterFunc(ctx, func() { _, _ = f.Stop() })
	return f, nil
}

func (f *Flow) open() error {
	network, all := "udp4", netip.IPv4Unspecified()
	if f.way.Target.Addr().Is6() {
		network, all = "udp6", netip.IPv6Unspecified()
	}
	source := f.way.Source
	if !source.IsValid() {
		source = all
	}
	var err error
	if f.in, err = Listen(f.way.To, network, netip.AddrPortFrom(all, f.way.Port)); err != nil {
		return err
	}
	if f.out, err = Listen(f.way.From, network, netip.AddrPortFrom(source, 0)); err != nil {
		return errors.Join(err, f.in.Close())
	}
	raw, err := f.in.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer)
		}), err)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("enlarge the receiver's buffer: %w", err), f.in.Close(), f.out.Close())
	}
	if f.way.Target.Port() == 0 {
		port := f.in.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		f.way.Target = netip.AddrPortFrom(f.way.Target.Addr(), port)
	}
	return nil
}

// Listen opens a UDP socket in a namespace.
func Listen(ns nstest.NS, network string, at netip.AddrPort) (*net.UDPConn, error) {
	var conn *net.UDPConn
	err := ns.Inside(func() error {
		var err error
		conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
		return err
	})
	return conn, err
}

// Await waits until so many packets more have come.
func (f *Flow) Await(ctx context.Context, packets int64) error {
	ctx, cancel := context.WithTimeout(ctx, awaitBound)
	defer cancel()
	tick := time.NewTicker(awaitTick)
	defer tick.Stop()
	for began := f.received.Load(); f.received.Load() < began+packets; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("flow from %s to %s: %d of %d packets came: %w",
				f.way.From.Name, f.way.Target, f.received.Load()-began, packets, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Stop ends the flow and counts, after the last packets have come or could have.
// It may be called more than once; the last calls return an error.
func (f *Flow) Stop() (Count, error) {
	if !f.total.CompareAndSwap(-1, -2) {
		return Count{}, errors.New("the flow was stopped before")
	}
	close(f.stop)
	f.running.Wait()
	err := errors.Join(f.in.Close(), f.out.Close())
	c := f.tally.count(f.sent)
	c.Refused = f.refused
	after, overrunErr := overrun()
	c.Overrun = after - f.overrun
	return c, errors.Join(err, overrunErr)
}

// receive ends some time after the sender, or with the last packet.
func (f *Flow) receive() {
	var b [size + 1]byte
	for {
		n, from, err := f.in.ReadFromUDPAddrPort(b[:])
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != size || binary.BigEndian.Uint64(b[:]) != f.id {
			continue // an ICMP error, or not ours
		}
		if !f.tally.note(binary.BigEndian.Uint64(b[8:]), from.Addr().Unmap()) {
			continue
		}
		received := f.received.Add(1)
		if received == 1 && f.way.Answered {
			_, _ = f.in.WriteToUDPAddrPort(nil, from) // that it was lost the flow shows
		}
		if received == f.total.Load() {
			return
		}
	}
}

// Probe is a flow that is stopped at once: the one burst of it shows whether a way
// leads through.
func Probe(ctx context.Context, way Way) (Count, error) {
	f, err := Start(ctx, way)
	if err != nil {
		return Count{}, err
	}
	return f.Stop()
}
