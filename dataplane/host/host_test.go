package host

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"fairlead.dev/dataplane/nstest"
)

func TestIdentity(t *testing.T) {
	boot, err := BootID()
	if err != nil || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(boot) {
		t.Errorf("BootID: %q, %v", boot, err)
	}
	before, err := SinceBoot()
	if err != nil || before <= 0 {
		t.Errorf("SinceBoot: %v, %v", before, err)
	}
	after, err := SinceBoot()
	if err != nil || after < before || after-before > time.Minute {
		t.Errorf("SinceBoot went from %v to %v: %v", before, after, err)
	}
}

func TestReadIDRefusesNothing(t *testing.T) {
	empty := t.TempDir() + "/machine-id"
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, t.TempDir() + "/none"} {
		if id, err := readID(file); err == nil {
			t.Errorf("%s: id %q and no error", file, id)
		}
	}
}

func TestAddresses(t *testing.T) {
	ns := nstest.New(t, "host")
	for _, args := range [][]string{
		{"link", "add", "eth0", "type", "veth", "peer", "name", "far0"},
		{"link", "add", "flabcdefghijklm", "type", "veth", "peer", "name", "far1"},
		{"link", "add", "eth1", "type", "veth", "peer", "name", "far2"},
		{"link", "add", "fairlead-vxlan", "type", "vxlan", "id", "4096", "dstport", "4789", "local", "10.2.0.9"},
		{"link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "8472", "local", "10.2.0.9"}, // nobody's of ours
		{"link", "add", "eth2", "type", "veth", "peer", "name", "far3"},
		{"link", "set", "eth0", "up"},
		{"link", "set", "far0", "up"},
		{"link", "set", "eth2", "up"}, // and far3 is not: no carrier
		{"link", "set", "flabcdefghijklm", "up"},
		{"addr", "add", "10.2.0.9/24", "dev", "eth0"},
		{"addr", "add", "10.2.0.10/24", "dev", "eth0"}, // secondary: the kernel's flag is that of a temporary IPv6 one
		{"addr", "add", "192.0.2.1", "peer", "192.0.2.2/32", "dev", "far0"},
		{"addr", "add", "2001:db8::9/64", "dev", "eth0", "nodad"},
		{"addr", "add", "203.0.113.7/32", "dev", "lo"},
		{"addr", "add", "169.254.7.7/16", "dev", "eth0"},
		{"addr", "add", "10.244.0.1/32", "dev", "flabcdefghijklm"},
		{"addr", "add", "fd00::1/128", "dev", "flabcdefghijklm", "nodad"},
		{"link", "set", "fairlead-vxlan", "up"},
		{"link", "set", "flannel.1", "up"},
		{"addr", "add", "10.244.0.2/32", "dev", "fairlead-vxlan"},
		{"addr", "add", "10.5.0.0/32", "dev", "flannel.1"},
		{"addr", "add", "10.3.0.9/24", "dev", "eth1"},
		{"addr", "add", "10.4.0.9/24", "dev", "eth2"},
	} {
		ns.Run(t, "ip", args...)
	}
	got := addresses(t, ns)
	want := []string{"10.2.0.9/24", "10.2.0.10/24", "10.4.0.9/24", "10.5.0.0/32", "192.0.2.1/32", "203.0.113.7/32", "2001:db8::9/64"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// What counts is the link at this time, up or down.
func TestAddressesFollowTheLink(t *testing.T) {
	ns := nstest.New(t, "host")
	ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	ns.Run(t, "ip", "addr", "add", "10.2.0.9/24", "dev", "eth0")
	for _, step := range []struct {
		set  string
		want []string
	}{{"up", []string{"10.2.0.9/24"}}, {"down", nil}, {"up", []string{"10.2.0.9/24"}}} {
		ns.Run(t, "ip", "link", "set", "eth0", step.set)
		if diff := cmp.Diff(step.want, addresses(t, ns)); diff != "" {
			t.Errorf("link %s (-want +got):\n%s", step.set, diff)
		}
	}
}

func TestWholeListsAgain(t *testing.T) {
	for interruptions, want := range map[int]error{0: nil, 1: nil, listAttempts: netlink.ErrDumpInterrupted} {
		calls := 0
		items, err := whole(func() ([]int, error) {
			if calls++; calls <= interruptions {
				return []int{1}, netlink.ErrDumpInterrupted
			}
			return []int{1, 2}, nil
		})
		if !errors.Is(err, want) || (err == nil) != (len(items) == 2) || err != nil && items != nil {
			t.Errorf("%d interruptions: %v, %v", interruptions, items, err)
		}
	}
}

func addresses(t *testing.T, ns nstest.NS) []string {
	t.Helper()
	var got []netip.Prefix
	ns.Do(t, func() {
		var err error
		if got, err = Addresses(); err != nil {
			t.Error(err)
		}
	})
	var text []string
	for _, p := range got {
		text = append(text, p.String())
	}
	return text
}
