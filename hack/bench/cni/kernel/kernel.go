// Package kernel is the floor of what a pod's link costs: the least that the
// kernel must be told for packets to pass, in the fewest messages. It has no
// protocol, no address store, no checks, guards nothing, and undoes nothing.
package kernel

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

const (
	podLink = "eth0"
	mtu     = 1500
)

// Add makes a link from the calling thread's namespace into the one at path, with
// the pod's address and a route each way.
func Add(path, host string, addr netip.Addr) error {
	namespace, err := os.Open(path)
	if err != nil {
		return err
	}
	defer namespace.Close()
	near, far := nl.End{Name: host, MAC: mac(host)}, nl.End{Name: podLink, MAC: mac(host + podLink)}
	err = exchange(func(node *nl.Conn) error {
		if err := node.Batch([]nl.Message{nl.AddVeth(near, far, int(namespace.Fd()), mtu)})[0]; err != nil {
			return err
		}
		return configure(node, host, func(link uint32) []nl.Message {
			return []nl.Message{
				nl.AddRoute(nl.Route{
					Prefix: netip.PrefixFrom(addr, 32), Table: unix.RT_TABLE_MAIN, Protocol: dataplane.ProtocolPod,
					Type: unix.RTN_UNICAST, Hops: []nl.Hop{{Link: link}},
				}),
				nl.SetNeighbour(nl.Neighbour{Link: link, Addr: addr, MAC: far.MAC, State: unix.NUD_PERMANENT}),
			}
		})
	})
	if err != nil {
		return err
	}
	gateway := netip.AddrFrom4([4]byte{169, 254, 1, 1})
	return inside(namespace, func(pod *nl.Conn) error {
		return configure(pod, podLink, func(link uint32) []nl.Message {
			return []nl.Message{
				nl.LinkUp(link),
				nl.AddAddress(link, addr),
				nl.SetNeighbour(nl.Neighbour{Link: link, Addr: gateway, MAC: near.MAC, State: unix.NUD_PERMANENT}),
				nl.AddRoute(nl.Route{
					Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Table: unix.RT_TABLE_MAIN,
					Protocol: unix.RTPROT_STATIC, Type: unix.RTN_UNICAST,
					Hops: []nl.Hop{{Addr: gateway, Link: link, OnLink: true}},
				}),
			}
		})
	})
}

// Delete deletes the link.
func Delete(host string) error {
	return exchange(func(node *nl.Conn) error { return node.Batch([]nl.Message{nl.DeleteLink(host)})[0] })
}

func configure(conn *nl.Conn, link string, messages func(index uint32) []nl.Message) error {
	index, err := conn.Index(link)
	if err != nil {
		return err
	}
	return errors.Join(conn.Batch(messages(index))...)
}

// exchange runs f with a socket in the calling thread's namespace.
func exchange(f func(*nl.Conn) error) error {
	conn, err := nl.Dial()
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close())
}

// inside is exchange in another namespace.
func inside(namespace *os.File, f func(*nl.Conn) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	return errors.Join(exchange(f), unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
}

func mac(seed string) (m nl.MAC) {
	sum := sha256.Sum256([]byte(seed))
	copy(m[:], sum[:])
	m[0] = m[0]&^0x01 | 0x02
	return m
}
