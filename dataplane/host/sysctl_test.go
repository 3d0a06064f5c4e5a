package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/dataplane/nstest"
)

const procSys = "/proc/sys"

// newHost is a namespace with an uplink that listens to router advertisements,
// one that does not, one that forwards already, and a pod's link.
func newHost(t *testing.T) nstest.NS {
	t.Helper()
	ns := nstest.New(t, "sysctl")
	ns.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	ns.Run(t, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
	ns.Run(t, "ip", "link", "add", "flabcdefghijklm", "type", "veth", "peer", "name", "far1")
	set(t, ns, "net/ipv6/conf/all/forwarding", "0") // whatever the machine's default
	set(t, ns, "net/ipv4/ip_forward", "0")
	set(t, ns, "net/ipv4/conf/all/accept_redirects", "0") // the kernel's own choice would be 1
	set(t, ns, "net/ipv6/conf/eth0/accept_ra", "1")
	set(t, ns, "net/ipv6/conf/eth1/accept_ra", "0")
	set(t, ns, "net/ipv6/conf/eth2/accept_ra", "1")
	set(t, ns, "net/ipv6/conf/eth2/forwarding", "1")
	set(t, ns, "net/ipv4/conf/eth2/forwarding", "1")
	return ns
}

func set(t *testing.T, ns nstest.NS, name, value string) {
	t.Helper()
	ns.Do(t, func() {
		if err := sysctlDir(procSys).write(name, value); err != nil {
			t.Error(err)
		}
	})
}

func get(t *testing.T, ns nstest.NS, name string) (value string) {
	t.Helper()
	ns.Do(t, func() {
		var err error
		if value, err = sysctlDir(procSys).read(name); err != nil {
			t.Error(err)
		}
	})
	return value
}

// snapshot is every IPv4 and IPv6 sysctl, by an independent reader.
func snapshot(t *testing.T, ns nstest.NS) []string {
	t.Helper()
	var lines []string
	out := ns.Run(t, "find", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6",
		"-type", "f", "-readable", "-not", "-name", "flush", "-not", "-path", "*stable_secret",
		"-exec", "grep", "-s", "", "{}", "+")
	for line := range strings.Lines(out) {
		lines = append(lines, line)
	}
	if len(lines) < 100 {
		t.Fatalf("only %d sysctls were read: %s", len(lines), out)
	}
	return lines
}

func prepare(t *testing.T, ns nstest.NS, file string) {
	t.Helper()
	ns.Do(t, func() {
		if err := Prepare(procSys, file); err != nil {
			t.Error(err)
		}
	})
}

func restore(t *testing.T, ns nstest.NS, file string) {
	t.Helper()
	ns.Do(t, func() {
		if err := Restore(procSys, file); err != nil {
			t.Error(err)
		}
	})
}

func TestPrepare(t *testing.T) {
	ns := newHost(t)
	prepare(t, ns, filepath.Join(t.TempDir(), "sysctl.json"))
	for name, want := range map[string]string{
		"net/ipv4/ip_forward":                     "1",
		"net/ipv6/conf/all/forwarding":            "1",
		"net/ipv6/conf/eth0/forwarding":           "1",
		"net/ipv4/fib_multipath_hash_policy":      "1",
		"net/ipv6/fib_multipath_hash_policy":      "1",
		"net/ipv6/conf/eth0/accept_ra":            "2",
		"net/ipv6/conf/eth1/accept_ra":            "0", // never listened
		"net/ipv6/conf/eth2/accept_ra":            "1", // forwarded, so did not listen
		"net/ipv6/conf/flabcdefghijklm/accept_ra": "1", // the plugin's
		"net/ipv6/conf/default/accept_ra":         "1",
	} {
		if got := get(t, ns, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestRestoreLeavesTheHostAsItWas(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	before := snapshot(t, ns)
	prepare(t, ns, file)
	if cmp.Equal(before, snapshot(t, ns)) {
		t.Fatal("Prepare changed nothing that snapshot sees")
	}
	prepare(t, ns, file) // an agent that starts again must not take our values for theirs
	restore(t, ns, file)
	if diff := cmp.Diff(before, snapshot(t, ns)); diff != "" {
		t.Errorf("sysctls before and after (-before +after):\n%s", diff)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("kept values are still there: %v", err)
	}
	restore(t, ns, file) // twice is well
}

func TestPrepareLeavesOtherChoicesAlone(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	set(t, ns, "net/ipv4/fib_multipath_hash_policy", "2")
	prepare(t, ns, file)
	if got := get(t, ns, "net/ipv4/fib_multipath_hash_policy"); got != "2" {
		t.Errorf("hash policy is %s, want the operator's 2", got)
	}
}

func TestPrepareAfterPrepareMendsDrift(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	before := snapshot(t, ns)
	prepare(t, ns, file)
	set(t, ns, "net/ipv4/ip_forward", "0")
	set(t, ns, "net/ipv6/conf/eth0/accept_ra", "1")
	prepare(t, ns, file)
	if got := get(t, ns, "net/ipv4/ip_forward") + get(t, ns, "net/ipv6/conf/eth0/accept_ra"); got != "12" {
		t.Errorf("ip_forward and accept_ra are %s, want 12", got)
	}
	restore(t, ns, file)
	if diff := cmp.Diff(before, snapshot(t, ns)); diff != "" {
		t.Errorf("sysctls before and after (-before +after):\n%s", diff)
	}
}

// An uplink that is plugged in later inherits our forwarding, and would take no
// router advertisements.
func TestPrepareAgainFindsLaterUplinks(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	prepare(t, ns, file)
	ns.Run(t, "ip", "link", "add", "eth3", "type", "veth", "peer", "name", "eth4")
	ns.Run(t, "ip", "link", "add", "flabcdefghijkxy", "type", "veth", "peer", "name", "far4")
	set(t, ns, "net/ipv6/conf/eth3/accept_ra", "1")
	set(t, ns, "net/ipv6/conf/eth4/accept_ra", "0")
	set(t, ns, "net/ipv6/conf/flabcdefghijkxy/accept_ra", "1")
	if got := get(t, ns, "net/ipv6/conf/eth3/forwarding"); got != "1" {
		t.Fatalf("a new link's forwarding is %s, want 1: the test shows nothing", got)
	}
	prepare(t, ns, file)
	for link, want := range map[string]string{"eth3": "2", "eth4": "0", "eth2": "1", "flabcdefghijkxy": "1"} {
		if got := get(t, ns, "net/ipv6/conf/"+link+"/accept_ra"); got != want {
			t.Errorf("accept_ra of %s is %s, want %s", link, got, want)
		}
	}
	restore(t, ns, file)
	if got := get(t, ns, "net/ipv6/conf/eth3/accept_ra") + get(t, ns, "net/ipv6/conf/eth3/forwarding"); got != "10" {
		t.Errorf("accept_ra and forwarding of eth3 after Restore are %s, want 10", got)
	}
}

// Where the node forwarded before Fairlead, no link listened, and none is to.
func TestPrepareAgainLeavesARoutersLinksAlone(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	set(t, ns, "net/ipv6/conf/all/forwarding", "1")
	prepare(t, ns, file)
	ns.Run(t, "ip", "link", "add", "eth3", "type", "veth", "peer", "name", "eth4")
	set(t, ns, "net/ipv6/conf/eth3/accept_ra", "1")
	prepare(t, ns, file)
	for _, link := range []string{"eth0", "eth3"} {
		if got := get(t, ns, "net/ipv6/conf/"+link+"/accept_ra"); got != "1" {
			t.Errorf("accept_ra of %s is %s, want 1", link, got)
		}
	}
}

// Called again with nothing to do it writes nothing, not even the same.
func TestPrepareAgainWritesNothing(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	prepare(t, ns, file)
	kept, sysctls := stat(t, file), snapshot(t, ns)
	for range 3 {
		prepare(t, ns, file)
	}
	if again := stat(t, file); !os.SameFile(kept, again) || !kept.ModTime().Equal(again.ModTime()) {
		t.Error("the kept values were written again")
	}
	if diff := cmp.Diff(sysctls, snapshot(t, ns)); diff != "" {
		t.Errorf("sysctls changed (-before +after):\n%s", diff)
	}
}

func stat(t *testing.T, file string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// BenchmarkPrepareAgain is a resync on a node with 100 pods.
func BenchmarkPrepareAgain(b *testing.B) {
	ns, file := nstest.New(b, "sysctl"), filepath.Join(b.TempDir(), "sysctl.json")
	for i := range 100 {
		ns.Run(b, "ip", "link", "add", fmt.Sprintf("flabcdefghijk%c%c", 'a'+i/26, 'a'+i%26), "type", "veth", "peer", "name", fmt.Sprintf("pod%d", i))
		ns.Run(b, "ip", "link", "set", fmt.Sprintf("pod%d", i), "name", fmt.Sprintf("flabcdefghijl%c%c", 'a'+i/26, 'a'+i%26))
	}
	ns.Do(b, func() {
		for b.Loop() {
			if err := Prepare(procSys, file); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestRestorePassesOverLinksThatAreGone(t *testing.T) {
	ns, file := newHost(t), filepath.Join(t.TempDir(), "sysctl.json")
	prepare(t, ns, file)
	ns.Run(t, "ip", "link", "del", "eth0")
	restore(t, ns, file)
	if got := get(t, ns, "net/ipv4/ip_forward"); got != "0" {
		t.Errorf("ip_forward is %s, want 0", got)
	}
}

// The kernel drops the default route that it learned by router advertisement
// when forwarding goes on, unless accept_ra was 2 before: hence the order.
func TestPrepareKeepsTheAdvertisedDefaultRoute(t *testing.T) {
	ns := newHost(t)
	ns.Run(t, "ip", "link", "set", "far0", "up")
	ns.Run(t, "ip", "link", "set", "eth0", "up")
	router := nstest.New(t, "router")
	ns.Run(t, "ip", "link", "set", "far0", "netns", router.Name)
	router.Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "far0", "nodad")
	router.Run(t, "ip", "link", "set", "far0", "up")
	poll(t, "a default route by router advertisement", func() bool {
		advertise(t, router, "far0", 1800) // the first may come before the link is ready
		return strings.Contains(ns.Run(t, "ip", "-6", "route", "show", "default"), "proto ra")
	})
	prepare(t, ns, filepath.Join(t.TempDir(), "sysctl.json"))
	if got := ns.Run(t, "ip", "-6", "route", "show", "default"); !strings.Contains(got, "proto ra") {
		t.Errorf("default route after Prepare: %q", got)
	}
}

func TestBadKeptFile(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON": "{", "outside": `[{"name": "../../etc/passwd", "value": "x"}]`, "absolute": `[{"name": "/etc/passwd", "value": "x"}]`,
	} {
		file := filepath.Join(t.TempDir(), "sysctl.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ns := newHost(t)
		ns.Do(t, func() {
			if Prepare(procSys, file) == nil || Restore(procSys, file) == nil {
				t.Errorf("%s: no error", name)
			}
		})
		if got := get(t, ns, "net/ipv4/ip_forward"); got != "0" {
			t.Errorf("%s: ip_forward was set with no place to keep its value", name)
		}
	}
}

func TestPrepareChangesNothingThatItCannotKeep(t *testing.T) {
	ns := newHost(t)
	before := snapshot(t, ns)
	ns.Do(t, func() {
		if Prepare(procSys, filepath.Join(t.TempDir(), "none", "sysctl.json")) == nil {
			t.Error("no error for a file in a folder that is not there")
		}
	})
	if diff := cmp.Diff(before, snapshot(t, ns)); diff != "" {
		t.Errorf("sysctls before and after (-before +after):\n%s", diff)
	}
}
