package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev/dataplane"
)

// settings of the device, below net of all sysctls. Those of a family that the kernel
// does not have are not there.
var settings = []struct{ family, name, value string }{
	// A packet may come in here while the way back leads elsewhere: two nodes that
	// disagree for a moment on how to reach each other (RFC 3704 section 2.4).
	{"ipv4", "rp_filter", "2"},
	// From here to the pods, whatever the default for new links is.
	{"ipv4", "forwarding", "1"},
	// No node is another's router by word of mouth (CVE-2020-13597).
	{"ipv6", "accept_ra", "0"},
	// Where new links have no IPv6, this one has it if it is needed.
	{"ipv6", disableIPv6, "0"},
	// Ours is made from the MAC and added by us: a generated one would only be
	// removed again.
	{"ipv6", "addr_gen_mode", "1"},
}

const disableIPv6 = "disable_ipv6"

func (d *Device) settingFile(family, name string) string {
	return filepath.Join(d.sysctls, "net", family, "conf", dataplane.OverlayLink, name)
}

// configure writes the settings that differ.
func (d *Device) configure(want dataplane.Overlay) error {
	for _, s := range settings {
		if s.name == disableIPv6 && !needsIPv6(want) {
			continue
		}
		file := d.settingFile(s.family, s.name)
		have, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && strings.TrimSpace(string(have)) == s.value:
			continue
		case err == nil:
			err = os.WriteFile(file, []byte(s.value), 0)
		}
		if err != nil {
			return fmt.Errorf("set %s of device %s to %s: %w", s.name, dataplane.OverlayLink, s.value, err)
		}
	}
	return nil
}

// needsIPv6 says whether an address or a next hop is IPv6.
func needsIPv6(want dataplane.Overlay) bool {
	return slices.ContainsFunc(want.Addresses, netip.Addr.Is6) ||
		slices.ContainsFunc(want.VTEPs, func(v dataplane.VTEP) bool { return slices.ContainsFunc(v.Neighbours, netip.Addr.Is6) })
}

// speaksIPv6 says whether the kernel has IPv6 on the device.
func (d *Device) speaksIPv6() bool {
	off, err := os.ReadFile(d.settingFile("ipv6", disableIPv6))
	return err == nil && strings.TrimSpace(string(off)) == "0"
}
