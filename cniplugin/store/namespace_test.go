package store

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ownNetns is a namespace that every process has.
const ownNetns = "/proc/self/ns/net"

func TestNamespaceInode(t *testing.T) {
	dir := t.TempDir()
	file, link, dangling := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	for _, err := range []error{os.WriteFile(file, nil, 0o600), os.Symlink(ownNetns, link), os.Symlink("nowhere", dangling)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	direct, err := NamespaceInode(ownNetns)
	if err != nil || direct == 0 {
		t.Fatalf("%d, %v", direct, err)
	}
	if got, err := NamespaceInode(link); got != direct || err != nil {
		t.Errorf("by a link %d, %v, want %d", got, err, direct)
	}
	for _, path := range []string{file, dangling, dir, filepath.Join(dir, "none"), filepath.Join(file, "below")} {
		if got, err := NamespaceInode(path); !errors.Is(err, ErrNoNamespace) {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
}

// Nothing is said of what may be there and cannot be seen.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	link, unbound := filepath.Join(dir, "link"), filepath.Join(dir, "unbound")
	for _, err := range []error{os.Symlink(ownNetns, link), os.WriteFile(unbound, nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	own, err := NamespaceInode(ownNetns)
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone")
	got := Look([]string{link, unbound, gone, filepath.Join(dir, "no-folder", "x"), filepath.Join(unbound, "x"), ownNetns, "/proc/1/ns/gone"})
	if diff := cmp.Diff(Namespaces{link: own, gone: 0}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// ipam adds an entry of a namespace.
func ipam(t *testing.T, s *State, id, netns string, inode uint64, now time.Duration) netip.Addr {
	t.Helper()
	addrs, err := s.Allocate(Request{
		Attachment: Attachment{Kind: KindIPAM, ContainerID: id, IfName: "net1"}, Pools: []string{"pool"},
		Netns: netns, NetnsInode: inode, Now: at(now),
	})
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func TestReleaseGone(t *testing.T) {
	const path, inode = "/run/netns/a", 7
	for _, tc := range []struct {
		name  string
		seen  Namespaces
		asOf  Stamp
		freed bool
	}{
		{"there", Namespaces{path: inode}, at(time.Hour), false},
		{"gone", Namespaces{path: 0}, at(time.Hour), true},
		{"another namespace at its path", Namespaces{path: 8}, at(time.Hour), true},
		{"not looked at", Namespaces{"/run/netns/b": 0}, at(time.Hour), false},
		{"nothing seen at all", nil, at(time.Hour), false},
		{"made after somebody looked", Namespaces{path: 0}, at(time.Second), false},
		{"of an earlier boot", nil, Stamp{BootID: "later", At: time.Second}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := leased("10.0.1.0/26")
			add(t, s, "pod", 0)
			want := ipam(t, s, "a", path, inode, 10*time.Second)
			freed := s.ReleaseGone(tc.seen, tc.asOf)
			if (len(freed) == 1 && freed[0].Address == want) != tc.freed {
				t.Errorf("freed %+v", freed)
			}
			if len(s.Allocations)+len(freed) != 2 || s.Allocations[0].Kind != KindPod {
				t.Errorf("left %+v", s.Allocations)
			}
		})
	}
}

func TestNamespacePaths(t *testing.T) {
	s := leased("10.0.1.0/26")
	add(t, s, "pod", 0)
	for id, path := range map[string]string{"a": "/run/netns/b", "b": "/run/netns/a", "c": "/run/netns/b"} {
		ipam(t, s, id, path, 1, 0)
	}
	if diff := cmp.Diff([]string{"/run/netns/a", "/run/netns/b"}, s.NamespacePaths()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if freed := s.ReleaseLeaks(nil, at(time.Hour), time.Minute); len(freed) != 1 || freed[0].Kind != KindPod {
		t.Errorf("the search for links freed %+v", freed)
	}
}
