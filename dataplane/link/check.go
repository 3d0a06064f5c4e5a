package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

// Errors of Check.
var (
	// ErrMissing says that something that Wire made is gone.
	ErrMissing = errors.New("is missing")
	// ErrWrong says that it is there, but not so that packets pass.
	ErrWrong = errors.New("is not as it must be")
)

// Expectation is what Check looks for.
type Expectation struct {
	// Host and Pod are the names of the two ends.
	Host, Pod string
	// Addresses that the pod must have.
	Addresses []netip.Addr
	// Gateways that the pod must have a default route by. A later plugin of the
	// chain may have taken a route away, and then said so in its result.
	Gateways []netip.Addr
	// MAC that the pod's end was made with. As long as it has that, the gateways'
	// entries must be there: the kernel drops them when it is changed.
	MAC nl.MAC
}

// Check says what keeps packets from passing between the node and the pod, or
// lets some pass that must not. It does not mind what plugins after us may change:
// the pod's MAC (and with it the gateways' entries), MTUs, further addresses and
// routes, the table of the pod's routes, further settings.
func (n *Node) Check(pod *Namespace, want Expectation) error {
	inside, insideErr := device(pod.conn, want.Pod, "pod's")
	outside, outsideErr := device(n.conn, want.Host, "node's")
	if err := errors.Join(insideErr, outsideErr); err != nil {
		return err
	}
	return errors.Join(
		n.checkHost(outside, want), n.checkNeighbours(inside, outside, want), checkSettings(want.Host, want.Addresses),
		checkPod(pod.conn, inside, outside, want),
	)
}

func device(conn *nl.Conn, name, whose string) (nl.Device, error) {
	d, err := conn.Device(name)
	switch {
	case errors.Is(err, unix.ENODEV):
		return d, fmt.Errorf("the %s link %s %w", whose, name, ErrMissing)
	case err != nil:
		return d, err
	case !d.Up:
		return d, fmt.Errorf("the %s link %s %w: it is down", whose, name, ErrWrong)
	}
	return d, nil
}

func (n *Node) checkHost(outside nl.Device, want Expectation) error {
	var errs []error
	for _, addr := range want.Addresses {
		r, found, err := n.conn.Lookup(addr)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !found || !isPodRoute(r) || r.Prefix.Addr() != addr:
			errs = append(errs, fmt.Errorf("the node's route to %s %w", addr, ErrMissing))
		case r.Hops[0].Link != outside.Index:
			errs = append(errs, fmt.Errorf("the node's route to %s %w: it does not lead to link %s", addr, ErrWrong, want.Host))
		}
	}
	return errors.Join(errs...)
}

// checkNeighbours finds entries of the node that lead nowhere and never heal. Any
// other is asked for again.
func (n *Node) checkNeighbours(inside, outside nl.Device, want Expectation) error {
	entries, err := n.conn.Neighbours()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Link == outside.Index && slices.Contains(want.Addresses, e.Addr) && e.State == unix.NUD_PERMANENT && e.MAC != inside.MAC {
			return fmt.Errorf("the node's neighbour entry of %s %w: it has not the MAC of the pod's link", e.Addr, ErrWrong)
		}
	}
	return nil
}

func checkPod(conn *nl.Conn, inside, outside nl.Device, want Expectation) error {
	addrs, addrErr := conn.Addresses()
	neighbours, neighErr := conn.Neighbours()
	if err := errors.Join(addrErr, neighErr); err != nil {
		return err
	}
	var errs []error
	for _, addr := range want.Addresses {
		errs = append(
			errs,
			checkAddress(addrs, inside, addr),
			checkGateway(neighbours, inside, outside, Gateway(addr), inside.MAC == want.MAC),
		)
	}
	for _, gateway := range want.Gateways {
		errs = append(errs, checkDefault(conn, inside, gateway))
	}
	return errors.Join(errs...)
}

func checkAddress(addrs []nl.Address, inside nl.Device, addr netip.Addr) error {
	i := slices.IndexFunc(addrs, func(a nl.Address) bool { return a.Link == inside.Index && a.Prefix.Addr() == addr })
	switch {
	case i < 0:
		return fmt.Errorf("address %s of the pod's link %s %w", addr, inside.Name, ErrMissing)
	case addrs[i].Flags&unix.IFA_F_DADFAILED != 0:
		return fmt.Errorf("address %s of the pod's link %s %w: duplicate address detection failed", addr, inside.Name, ErrWrong)
	}
	return nil
}

// checkGateway finds entries that lead nowhere, and one that must be and is not:
// without it the pod asks for its gateway, and believes who answers.
func checkGateway(neighbours []nl.Neighbour, inside, outside nl.Device, gateway netip.Addr, must bool) error {
	for _, e := range neighbours {
		switch {
		case e.Link != inside.Index || e.Addr != gateway || e.State != unix.NUD_PERMANENT:
		case e.MAC != outside.MAC:
			return fmt.Errorf("the pod's neighbour entry of gateway %s %w: it has not the MAC of link %s", gateway, ErrWrong, outside.Name)
		default:
			return nil
		}
	}
	if must {
		return fmt.Errorf("the pod's permanent neighbour entry of gateway %s %w", gateway, ErrMissing)
	}
	return nil
}

// checkDefault looks in all tables: a plugin after us may route by source (sbr) or
// put the link into a VRF.
func checkDefault(conn *nl.Conn, inside nl.Device, gateway netip.Addr) error {
	family := uint8(unix.AF_INET6)
	if gateway.Is4() {
		family = unix.AF_INET
	}
	routes, err := conn.RoutesOfAllTables(family, func(r nl.Route) bool {
		return r.Prefix.Bits() == 0 && slices.ContainsFunc(r.Hops, func(hop nl.Hop) bool {
			return hop.Addr == gateway && hop.Link == inside.Index // on-link or not
		})
	})
	if err == nil && len(routes) == 0 {
		err = fmt.Errorf("the pod's default route via %s dev %s %w", gateway, inside.Name, ErrMissing)
	}
	return err
}
