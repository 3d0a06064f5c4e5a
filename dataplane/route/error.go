package route

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nl"
)

var (
	// ErrForeign is a prefix that a route of another protocol holds.
	ErrForeign = errors.New("a route that is not ours holds the prefix")
	// ErrNoLink is a next hop on a link that does not exist.
	ErrNoLink = errors.New("link does not exist")
	// ErrVanished is a route that the kernel took and does not have.
	ErrVanished = errors.New("written, but not in the kernel's table when read back")
)

// explain puts before the kernel's own words what its errno means for a route.
func explain(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if words := reason(errno); words != "" {
		return fmt.Errorf("%s: %w", words, err)
	}
	return err
}

func reason(errno unix.Errno) string {
	switch errno {
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		return "next hop is not on a connected subnet"
	case unix.ENETDOWN:
		return "link of the next hop is down"
	case unix.ENODEV:
		return "link of the next hop is gone"
	case unix.EINVAL:
		return "kernel takes the route for invalid"
	case unix.EEXIST:
		return "another route with this prefix and metric came in between"
	case unix.EPERM:
		return "not permitted, CAP_NET_ADMIN is missing"
	case unix.EOPNOTSUPP, unix.EAFNOSUPPORT:
		return "kernel lacks the address family or the kind of route"
	case unix.EACCES:
		return "address family is switched off on the link of the next hop"
	}
	return ""
}

// passing says that a refusal is of the moment: an answer was lost, the kernel had
// no memory, a route came in between or was not seen by an interrupted listing.
func passing(err error) bool {
	return errors.Is(err, nl.ErrUnanswered) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EEXIST)
}

func rivalError(r *nl.Route) error {
	return fmt.Errorf("%w: protocol %s, metric %d", ErrForeign, protocolName(r.Protocol), r.Metric)
}

// protocolName is rtm_protocol as /etc/iproute2/rt_protos names it, for those
// that are likely on a node.
func protocolName(p uint8) string {
	name, ok := map[uint8]string{
		unix.RTPROT_REDIRECT: "redirect", unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot",
		unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra", unix.RTPROT_ZEBRA: "zebra",
		unix.RTPROT_BIRD: "bird", unix.RTPROT_DHCP: "dhcp", unix.RTPROT_KEEPALIVED: "keepalived",
		unix.RTPROT_BGP: "bgp", unix.RTPROT_OSPF: "ospf", unix.RTPROT_ISIS: "isis",
	}[p]
	if !ok {
		return fmt.Sprint(p)
	}
	return fmt.Sprintf("%s (%d)", name, p)
}
