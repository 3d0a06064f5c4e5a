package link

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// ipv6Conf has a folder of settings for each link that speaks IPv6.
const ipv6Conf = "/proc/sys/net/ipv6/conf"

// Wire makes the pod's link and all that goes over it, in three exchanges with
// the kernel: the pair, the host's end, the pod's end. The host's end is up from
// the start and has no carrier, so passes nothing, until the pod's end is up, the
// first step of the third exchange. On error nothing is left, unless it is
// ErrNotUndone.
func (n *Node) Wire(pod *Namespace, s Spec) error {
	near, far := nl.End{Name: s.Host, MAC: s.HostMAC()}, nl.End{Name: s.Pod, MAC: s.PodMAC()}
	err := n.conn.Batch([]nl.Message{nl.AddVeth(near, far, pod.fd(), s.MTU)})[0]
	if errors.Is(err, unix.EEXIST) {
		return n.taken(pod, s)
	}
	if err != nil {
		return fmt.Errorf("create link %s to %s in the pod: %w", s.Host, s.Pod, err)
	}
	if err := n.wireEnds(pod, s); err != nil {
		return n.undo(s, err)
	}
	return nil
}

func (n *Node) undo(s Spec, cause error) error {
	if err := n.Unwire(s.Host); err != nil {
		return fmt.Errorf("%w; %w: %w", cause, ErrNotUndone, err)
	}
	return cause
}

// taken tells which of the two names was not free.
func (n *Node) taken(pod *Namespace, s Spec) error {
	if _, err := pod.conn.Index(s.Pod); err == nil {
		return fmt.Errorf("create link %s in the pod: %w", s.Pod, ErrPodLinkExists)
	}
	return fmt.Errorf("create link %s: %w", s.Host, ErrHostLinkExists)
}

func (n *Node) wireEnds(pod *Namespace, s Spec) error {
	index, err := n.conn.Index(s.Host)
	if err != nil {
		return err
	}
	ipv6, err := refuseAdvertisements(s.Host)
	if err != nil {
		return err
	}
	if _, err := run(n.conn, hostSteps(s, index, ipv6)); err != nil {
		return err
	}
	if index, err = pod.conn.Index(s.Pod); err != nil {
		return err
	}
	if slices.ContainsFunc(s.Addresses, netip.Addr.Is6) {
		if err := pod.announce(s.Pod); err != nil {
			return err
		}
	}
	failed, err := run(pod.conn, podSteps(s, index))
	if errors.Is(err, unix.EACCES) { // what a link with disable_ipv6 answers
		if err := pod.enableIPv6(s.Pod); err != nil {
			return err
		}
		_, err = run(pod.conn, failed)
	}
	if err != nil {
		return err
	}
	if err := n.settle(pod, s); err != nil {
		return err
	}
	return checkSettings(s.Host, s.Addresses)
}

// Patience of settle: the kernel is done within a millisecond unless it is very busy.
const (
	settlePause    = 500 * time.Microsecond
	settleAttempts = 2000
)

// settle waits until packets pass, for two things the kernel does in its own
// time although it has acknowledged them. The end that was set up first has no
// queue until the link watch sees its carrier, and drops what is sent; since
// Linux 6.8 reading the link makes it look. And an IPv6 address is served only
// once its duplicate address detection is done, even if there is none to do.
// What is not there in time is CHECK's to report: it may still come.
func (n *Node) settle(pod *Namespace, s Spec) error {
	err := await(func() (bool, error) {
		d, err := n.conn.Device(s.Host)
		return d.Operational, err
	})
	for _, addr := range s.Addresses {
		if err != nil || addr.Is4() {
			continue
		}
		err = await(func() (bool, error) {
			r, found, err := pod.conn.Lookup(addr)
			return found && r.Type == unix.RTN_LOCAL, err
		})
	}
	return err
}

func await(done func() (bool, error)) error {
	for range settleAttempts {
		if ok, err := done(); ok || err != nil {
			return err
		}
		time.Sleep(settlePause)
	}
	return nil
}

// refuseAdvertisements keeps the host from learning routes from its pods: where
// uplinks take router advertisements the default may be to take them anywhere.
// It is not ok if the kernel has no IPv6.
func refuseAdvertisements(host string) (ipv6 bool, err error) {
	err = writeSetting(host, "accept_ra", "0")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func writeSetting(link, setting, value string) error {
	if err := os.WriteFile(filepath.Join(ipv6Conf, link, setting), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s of link %s to %s: %w", setting, link, value, err)
	}
	return nil
}

// step is one request and what it is for.
type step struct {
	what string
	msg  nl.Message
	// exists is what EEXIST means, if it means anything of its own.
	exists error
}

// run sends all steps at once and returns those that failed, with the error of
// the first: those of the others follow from it.
func run(conn *nl.Conn, steps []step) (failed []step, first error) {
	msgs := make([]nl.Message, len(steps))
	for i, s := range steps {
		msgs[i] = s.msg
	}
	for i, err := range conn.Batch(msgs) {
		if err == nil {
			continue
		}
		failed = append(failed, steps[i])
		if steps[i].exists != nil && errors.Is(err, unix.EEXIST) {
			err = steps[i].exists
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", steps[i].what, err)
		}
	}
	return failed, first
}

func hostSteps(s Spec, index uint32, ipv6 bool) []step {
	steps := []step{{what: "guard link " + s.Host, msg: nl.Guard(index, ipv6)}}
	for _, addr := range s.Addresses {
		gateway := Gateway(addr)
		steps = append(
			steps,
			step{what: "give link " + s.Host + " address " + gateway.String(), msg: nl.AddAddress(index, gateway)},
			step{what: "add route " + addr.String() + " dev " + s.Host, msg: nl.AddRoute(nl.Route{
				Prefix: netip.PrefixFrom(addr, addr.BitLen()), Table: unix.RT_TABLE_MAIN,
				Protocol: dataplane.ProtocolPod, Type: unix.RTN_UNICAST, Hops: []nl.Hop{{Link: index}},
			}), exists: ErrRouted},
			step{what: "add neighbour " + addr.String(), msg: nl.SetNeighbour(nl.Neighbour{
				Link: index, Addr: addr, MAC: s.PodMAC(), State: unix.NUD_STALE,
			})},
		)
	}
	return steps
}

// podSteps let the pod announce a MAC that a later plugin gives it: the node's
// entry would else lead nowhere until it is given up, ten seconds later. And they
// make the gateway a destination of its own, not only one that is said to be on
// the link, for whoever copies the pod's routes to another table (sbr).
func podSteps(s Spec, index uint32) []step {
	steps := []step{{what: "set the pod's link " + s.Pod + " up", msg: nl.LinkUpAnnouncing(index)}}
	for _, addr := range s.Addresses {
		gateway := Gateway(addr)
		route := func(to netip.Prefix, hop nl.Hop) nl.Message {
			return nl.AddRoute(nl.Route{
				Prefix: to, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_STATIC, Type: unix.RTN_UNICAST, Hops: []nl.Hop{hop},
			})
		}
		if addr.Is4() { // IPv6 takes a link-local gateway for a neighbour anyway
			steps = append(steps, step{
				what:   "add the pod's route to " + gateway.String(),
				msg:    nl.LinkScope(route(netip.PrefixFrom(gateway, gateway.BitLen()), nl.Hop{Link: index})),
				exists: ErrPodRouted,
			})
		}
		steps = append(
			steps,
			step{what: "give the pod's link " + s.Pod + " address " + addr.String(), msg: nl.AddAddress(index, addr)},
			step{what: "add the pod's neighbour " + gateway.String(), msg: nl.SetNeighbour(nl.Neighbour{
				Link: index, Addr: gateway, MAC: s.HostMAC(), State: unix.NUD_PERMANENT,
			})},
			step{
				what:   "add the pod's default route via " + gateway.String(),
				msg:    route(netip.PrefixFrom(addr, 0).Masked(), nl.Hop{Addr: gateway, Link: index}),
				exists: ErrPodRouted,
			},
		)
	}
	return steps
}
