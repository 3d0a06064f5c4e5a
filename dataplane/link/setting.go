package link

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// procSys is the folder of all sysctls.
const procSys = "/proc/sys"

// setting is one of the host's end.
type setting struct {
	family, name string
	value        string
	// tolerated is a value that is not ours, and that no ADD and no CHECK fails for:
	// Mend puts it right.
	tolerated string
	why       string
}

// settings that Wire makes and Mend keeps. What the kernel has not is no matter.
func settings() []setting {
	return []setting{
		{
			family: "ipv4", name: "forwarding", value: "1",
			why: "packets from the pod are passed on",
		},
		{
			// Loose is what the defaults of systemd make of every new link, by udev, and
			// perhaps after us. The nft table drops the same packets and more; this is
			// there before it, and for ARP too: a request from a spoofed address fills no
			// neighbour table.
			family: "ipv4", name: "rp_filter", value: "1", tolerated: "2",
			why: "a pod speaks from its own addresses alone",
		},
		{
			family: "ipv6", name: "accept_ra", value: "0",
			why: "the node learns no routes from its pods (CVE-2020-13597)",
		},
	}
}

func (s setting) file(sysctls, link string) string {
	return filepath.Join(sysctls, "net", s.family, "conf", link, s.name)
}

// read returns "" for a setting, or a link, that is not there.
func (s setting) read(sysctls, link string) (string, error) {
	b, err := os.ReadFile(s.file(sysctls, link))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// checkSettings reads back what Wire set. Those of IPv4 are no matter to a pod
// without.
func checkSettings(host string, addrs []netip.Addr) error {
	var errs []error
	for _, s := range settings() {
		if s.family == "ipv4" && !slices.ContainsFunc(addrs, netip.Addr.Is4) {
			continue
		}
		found, err := s.read(procSys, host)
		if err != nil {
			errs = append(errs, err)
		} else if found != "" && found != s.value && found != s.tolerated {
			errs = append(errs, fmt.Errorf("%s %s of the node's link %s %w: it is %s, not %s, with which %s", s.family, s.name, host, ErrWrong, found, s.value, s.why))
		}
	}
	return errors.Join(errs...)
}

// Mend puts right what someone else has changed of the settings of pods' links:
// systemd-udevd sets its own a moment after a link is made. It reads three files
// for each pod, and writes what differs. sysctls is /proc/sys or another mount of it.
func (n *Node) Mend(sysctls string) error {
	links, err := n.Pods()
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		for _, s := range settings() {
			found, err := s.read(sysctls, link)
			if err == nil && found != "" && found != s.value {
				err = s.write(sysctls, link)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("set %s %s of link %s to %s, so that %s: %w", s.family, s.name, link, s.value, s.why, err))
			}
		}
	}
	return errors.Join(errs...)
}

// write sets it and reads it back. A link that is gone needs nothing.
func (s setting) write(sysctls, link string) error {
	err := os.WriteFile(s.file(sysctls, link), []byte(s.value), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	found, readErr := s.read(sysctls, link)
	if err = errors.Join(err, readErr); err == nil && found != "" && found != s.value {
		err = fmt.Errorf("it is still %s", found)
	}
	return err
}
