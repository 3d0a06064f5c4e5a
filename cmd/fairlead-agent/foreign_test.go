package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fairlead.dev/cniplugin/store"
)

// Of host-local's files those are believed that are so new that the pod may have no
// link yet.
func TestHostLocal(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for file, age := range map[string]time.Duration{
		"cbr0/10.244.7.5": time.Second, "cbr0/10.244.7.6": time.Hour, "cbr0/fd00:7::5": time.Minute / 2, "other/10.244.7.9": time.Second,
		"cbr0/last_reserved_ip.0": 0, "cbr0/lock": 0, "file": 0, "cbr0/10.244.7.8": -time.Hour,
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("container\r\neth0"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := hostLocal(dir, now)
	want := []netip.Addr{netip.MustParseAddr("10.244.7.5"), netip.MustParseAddr("10.244.7.9"), netip.MustParseAddr("fd00:7::5")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if none, err := hostLocal(filepath.Join(dir, "nowhere"), now); err != nil || len(none) > 0 {
		t.Errorf("without a folder: %v, %v", none, err)
	}
}

func TestOfSubnet(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.244.7.1/24": "[10.244.7.1 10.244.7.0 10.244.7.255]", "10.244.7.1/20": "[10.244.7.1 10.244.0.0 10.244.15.255]",
		"10.244.7.1/31": "[10.244.7.1]", "10.244.7.1/32": "[10.244.7.1]",
		"fd00:7::1/64": "[fd00:7::1 fd00:7::]", "fd00:7::1/127": "[fd00:7::1]", "fd00:7::1/128": "[fd00:7::1]",
	} {
		if got := fmt.Sprint(ofSubnet(netip.MustParsePrefix(prefix))); got != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
}

// Another network's pods go on without us: they keep nobody from leaving.
func TestCleanupBesideAnotherNetwork(t *testing.T) {
	u := newUsed(t)
	now, err := store.Now()
	must(t, err)
	block := netip.MustParsePrefix("10.244.0.0/26")
	must(t, u.store(t).Update(func(s *store.State) error {
		taken, _ := s.SetForeign([]netip.Addr{netip.MustParseAddr("10.244.0.60")}, []netip.Prefix{block}, now)
		if len(taken) != 1 {
			return fmt.Errorf("nothing to begin with: %+v", s)
		}
		return nil
	}))
	if err := u.cleanup(t); err != nil {
		t.Error(err)
	}
}
