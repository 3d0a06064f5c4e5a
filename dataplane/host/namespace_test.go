package host

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// underprivileged runs f in the namespace on a thread that has CAP_NET_ADMIN and
// no other capability, as the agent in its container; the thread ends with f.
func underprivileged(t *testing.T, ns nstest.NS, f func()) {
	t.Helper()
	namespace, err := os.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		const only = 1 << unix.CAP_NET_ADMIN
		data := [2]unix.CapUserData{{Effective: only, Permitted: only}}
		err := unix.Capset(&header, &data[0])
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAddressesIn(t *testing.T) {
	node, pod := nstest.New(t, "node"), nstest.New(t, "pod")
	for _, address := range []string{"198.51.100.7/24", "2001:db8::7/64", "169.254.7.7/16"} {
		pod.Run(t, "ip", "addr", "add", address, "dev", "lo")
	}
	pod.Run(t, "ip", "link", "set", "lo", "down")
	pod.Run(t, "ip", "addr", "add", "192.0.2.7/32", "dev", "lo")
	// IPv6 addresses go when a link is set down, IPv4 addresses stay.
	want := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.7")}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	underprivileged(t, node, func() {
		for range 2 { // the second time it has a number
			if got, err := AddressesIn(pod.Path()); err != nil || !slices.Equal(got, want) {
				t.Errorf("addresses %v, %v; want %v", got, err, want)
			}
		}
		for _, path := range []string{ownNamespace, file, file + "-none"} {
			if _, err := AddressesIn(path); !errors.Is(err, ErrNoNamespace) {
				t.Errorf("%s: %v, want %v", path, err, ErrNoNamespace)
			}
		}
	})
}

// In a container /proc/sys is read-only; the node's is mounted elsewhere.
func TestPrepareBelowAnotherFolder(t *testing.T) {
	ns, dir := newHost(t), t.TempDir()
	if err := os.Symlink("/proc/sys/net", filepath.Join(dir, "net")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sysctl.json")
	underprivileged(t, ns, func() {
		if Prepare(t.TempDir(), file) == nil {
			t.Error("no error for a folder without sysctls")
		}
		if err := Prepare(dir, file); err != nil {
			t.Error(err)
		}
	})
	if got := get(t, ns, ipForward); got != "1" {
		t.Errorf("ip_forward is %s, want 1", got)
	}
	ns.Do(t, func() {
		if err := Restore(dir, file); err != nil {
			t.Error(err)
		}
	})
	if got := get(t, ns, ipForward); got != "0" {
		t.Errorf("ip_forward after Restore is %s, want 0", got)
	}
}
