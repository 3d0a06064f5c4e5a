package nl

import (
	"fmt"
	"strings"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Index uint32
	Name  string
}

// Links lists all links.
func (c *Conn) Links() ([]Link, error) {
	req := request(unix.RTM_GETLINK, 0, link(0))
	links, err := collect(c, req, 0, func(body []byte) (Link, bool, error) {
		l, err := ParseLink(body)
		return l, err == nil, err
	})
	if err != nil {
		return links, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// ParseLink reads struct ifinfomsg and its attributes.
func ParseLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("%w: link of %d bytes", ErrMalformed, len(b))
	}
	l := Link{Index: uint32(rtnl.DeserializeIfInfomsg(b).Index)}
	err := attrs(b[unix.SizeofIfInfomsg:], func(typ uint16, value []byte) error {
		if typ == unix.IFLA_IFNAME {
			l.Name = strings.TrimRight(string(value), "\x00")
		}
		return nil
	})
	return l, err
}
