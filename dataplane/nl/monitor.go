package nl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrOverrun says that notifications were lost (ENOBUFS): what they told has to
// be read again. The monitor goes on.
var ErrOverrun = errors.New("notifications lost")

// Event is one notification.
type Event struct {
	Type  uint16
	Flags uint16
	// PortID is the socket whose request caused the change, 0 for the kernel itself.
	PortID uint32
	Body   []byte
}

// Monitor is a socket for notifications, in the network namespace of the thread
// that subscribed.
type Monitor struct {
	socket *rtnl.NetlinkSocket
}

// Subscribe joins the groups (RTNLGRP_*, up to 32).
func Subscribe(groups ...uint) (*Monitor, error) {
	m, err := subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	return m, nil
}

// SubscribeNFTables joins the group that is told of changes to nft tables.
func SubscribeNFTables() (*Monitor, error) {
	m, err := subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("subscribe to nftables: %w", err)
	}
	return m, nil
}

func subscribe(family int, groups ...uint) (*Monitor, error) {
	socket, err := rtnl.Subscribe(family, groups...)
	if err != nil {
		return nil, err
	}
	if socket.SetReceiveBufferSize(receiveBuffer, true) != nil { // past net.core.rmem_max, with CAP_NET_ADMIN
		err = socket.SetReceiveBufferSize(receiveBuffer, false)
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return &Monitor{socket: socket}, nil
}

// Ignore leaves out what a socket of ours caused, by its PortID: the kernel does
// not even queue it. Who writes a hundred thousand routes would lose
// notifications of others to those of its own.
func (m *Monitor) Ignore(portID uint32) error {
	// struct nlmsghdr, nlmsg_pid at 12: a filter reads it as big endian.
	pid := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, portID))
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: pid, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: math.MaxUint32},
	}
	if err := m.filter(program); err != nil {
		return fmt.Errorf("leave out notifications of socket %d: %w", portID, err)
	}
	return nil
}

// OnlyDefault leaves out all routes but default ones, whoever caused them, as
// Ignore does. What is not about a route stays.
func (m *Monitor) OnlyDefault() error {
	typ := func(t uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, t)))
	}
	program := []unix.SockFilter{
		// struct nlmsghdr, nlmsg_type at 4; struct rtmsg after it, rtm_dst_len at 1.
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: typ(unix.RTM_NEWROUTE), Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: typ(unix.RTM_DELROUTE), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: unix.SizeofNlMsghdr + 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: math.MaxUint32},
	}
	if err := m.filter(program); err != nil {
		return fmt.Errorf("leave out notifications of routes: %w", err)
	}
	return nil
}

func (m *Monitor) filter(program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(m.socket.GetFd(), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// Close ends the subscription.
func (m *Monitor) Close() { m.socket.Close() }

// Receive waits for the next notifications and hands each to f. It returns
// ErrOverrun when some were lost, ErrMalformed when they make no sense, and any
// other error when the monitor is of no more use: ctx's error once ctx is done,
// which closes it.
func (m *Monitor) Receive(ctx context.Context, f func(Event)) error {
	stop := context.AfterFunc(ctx, m.Close) // a read ends when its socket is closed
	defer stop()
	msgs, from, err := m.socket.Receive()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, unix.ENOBUFS):
		return ErrOverrun
	case errors.Is(err, unix.EINVAL): // what the library says of lengths that do not fit
		return ErrMalformed
	case err != nil:
		return fmt.Errorf("read notifications: %w", err)
	case from.Pid != 0: // 0 is the kernel; another process may write to us too
		return nil
	}
	for _, msg := range msgs {
		f(Event{Type: msg.Header.Type, Flags: msg.Header.Flags, PortID: msg.Header.Pid, Body: msg.Data})
	}
	return nil
}
