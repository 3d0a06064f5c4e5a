package fault_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/hack/fault"
)

// withStoreOnTmpfs runs f on a thread that is in the node's network namespace,
// and in a mount namespace of its own in which a tmpfs is mounted on the run
// directory, with a store in it of several pages. All of it ends with the thread.
func withStoreOnTmpfs(t *testing.T, f func(*scene)) {
	t.Helper()
	n := newNode(t)
	n.ns.Do(t, func() {
		for _, err := range []error{
			unix.Unshare(unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("none", n.runDir, "tmpfs", 0, "size=1m"),
			n.createStore(),
			n.update(crowd),
		} {
			if err != nil {
				t.Error(err)
				return
			}
		}
		f(newSceneOn(t, n))
	})
}

// crowd makes the state larger than a page, so that writing it can end half-way.
func crowd(s *store.State) {
	for i := range 64 {
		_, _ = s.Allocate(store.Request{
			Attachment: store.Attachment{ContainerID: fmt.Sprint("crowd", i), IfName: "eth0", HostVeth: fmt.Sprint("flcrowd", i)},
			Network:    "other", Namespace: "default", Pod: fmt.Sprint("crowd", i),
		})
	}
}

// pages and inodes that the run directory has in use.
func (n *node) used() (pages, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(n.runDir, &st); err != nil {
		return 0, 0, err
	}
	if int(st.Bsize) != os.Getpagesize() {
		return 0, 0, fmt.Errorf("tmpfs has blocks of %d bytes", st.Bsize)
	}
	return st.Blocks - st.Bfree, st.Files - st.Ffree, nil
}

func (n *node) remount(flags uintptr, options string) error {
	return os.NewSyscallError("mount", unix.Mount("", n.runDir, "", unix.MS_REMOUNT|flags, options))
}

// leave leaves so many free pages and inodes.
func (n *node) leave(pages, inodes uint64) error {
	usedPages, usedInodes, err := n.used()
	if err != nil {
		return err
	}
	return n.remount(0, fmt.Sprintf("size=%d,nr_inodes=%d", (usedPages+pages)*uint64(os.Getpagesize()), usedInodes+inodes))
}

// makeRoom undoes every shortage.
func (n *node) makeRoom() error {
	return errors.Join(n.remount(unix.MS_BIND, ""), n.remount(0, "size=1m,nr_inodes=1000"))
}

// shortage is what keeps the store from being written.
type shortage struct {
	name  string
	cause func(*node) error
	says  string
}

// shortages has one for each page that the state needs and does not get.
func shortages(t *testing.T, n *node) []shortage {
	t.Helper()
	info, err := os.Stat(filepath.Join(n.storeDir(), "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := []shortage{
		{"read-only", func(n *node) error { return n.remount(unix.MS_BIND|unix.MS_RDONLY, "") }, "read-only file system"},
		{"no inode", func(n *node) error { return n.leave(100, 0) }, "no space left"},
	}
	const more = 100 // inodes
	for pages := range uint64(info.Size()) / uint64(os.Getpagesize()) {
		all = append(all, shortage{fmt.Sprint(pages, " pages"), func(n *node) error { return n.leave(pages, more) }, "no space left"})
	}
	return all
}

// On a store that cannot be written ADD changes nothing and DEL does the rest;
// both say what is wrong.
func TestStoreThatCannotBeWritten(t *testing.T) {
	withStoreOnTmpfs(t, func(s *scene) {
		all := shortages(t, s.node)
		if len(all) < 5 {
			t.Fatalf("only %d shortages", len(all))
		}
		for _, short := range all {
			if err := s.suffer(short); err != nil {
				t.Errorf("%s: %v", short.name, err)
				return // what it left would be found with the next
			}
		}
	})
}

func (s *scene) suffer(short shortage) (err error) {
	p, err := newPod()
	if err != nil {
		return err
	}
	defer p.release()
	untouched, err := look(p.ns, "")
	if err != nil {
		return err
	}
	if err := short.cause(s.node); err != nil {
		return err
	}
	_, failure := execute(s.call("ADD", p))
	if err := errors.Join(refused(failure, short.says), s.sound(), s.isClean(), isLike(p, untouched)); err != nil {
		return fmt.Errorf("ADD: %w", err)
	}
	if err := s.makeRoom(); err != nil {
		return err
	}
	if _, err := execute(s.call("ADD", p)); err != nil {
		return fmt.Errorf("ADD with room again: %w", err)
	}
	if err := short.cause(s.node); err != nil {
		return err
	}
	for _, verb := range []struct {
		call fault.Command
		says string
	}{{s.call("DEL", p), p.id}, {s.gc(plugin), "store"}} {
		_, failure = execute(verb.call)
		if err := errors.Join(refused(failure, short.says, verb.says), s.sound(), s.holds(p), isLike(p, untouched)); err != nil {
			return fmt.Errorf("DEL or GC: %w", err)
		}
	}
	if err := s.makeRoom(); err != nil {
		return err
	}
	if _, err := execute(s.call("DEL", p)); err != nil {
		return fmt.Errorf("DEL with room again: %w", err)
	}
	return errors.Join(s.sound(), s.isClean())
}

// refused checks a CNI error: input and output failed, and what it says.
func refused(failure error, words ...string) error {
	var e *types.Error
	if !errors.As(failure, &e) || e.Code != types.ErrIOFailure || e.Details == "" {
		return fmt.Errorf("the error is %w, want code %d with details of what to do", failure, types.ErrIOFailure)
	}
	for _, word := range words {
		if !strings.Contains(e.Msg, word) {
			return fmt.Errorf("the error does not say %q: %w", word, failure)
		}
	}
	return nil
}

// holds checks that the pod's addresses stay taken, while nothing routes to them.
func (s *scene) holds(p pod) error {
	h, err := s.held()
	if err != nil {
		return err
	}
	routes, err := s.podRoutes()
	if err != nil {
		return err
	}
	var addresses []netip.Addr
	for _, a := range h.Allocations {
		if a.ContainerID == p.id {
			addresses = append(addresses, a.Address)
		}
	}
	if len(addresses) != 2 {
		return fmt.Errorf("%v are held, want both addresses", addresses)
	}
	for _, a := range addresses {
		if routes[a] != "" {
			return fmt.Errorf("%s is routed to %s", a, routes[a])
		}
	}
	return nil
}

func isLike(p pod, before []string) error {
	now, err := look(p.ns, "")
	if diff := cmp.Diff(before, now); err != nil || diff != "" {
		return fmt.Errorf("the pod is not as it was (-before +after):\n%s %w", diff, err)
	}
	return nil
}

// With too few files a verb fails without a trace, or works; it never stops
// between, and the next one finds all in order.
func TestFewFiles(t *testing.T) {
	s := newScene(t)
	p, err := newPod()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	untouched, err := look(p.ns, "")
	if err != nil {
		t.Fatal(err)
	}
	s.raise(t, s.call("ADD", p), func() error { return errors.Join(s.sound(), s.isClean(), isLike(p, untouched)) })
	s.raise(t, s.call("DEL", p), s.sound)
	if err := errors.Join(s.sound(), s.isClean(), isLike(p, untouched)); err != nil {
		t.Error(err)
	}
}

// raise runs a command with a higher limit each time until it works, and looks
// at what each failure says and leaves.
func (s *scene) raise(t *testing.T, c fault.Command, holds func() error) {
	t.Helper()
	const most = 100
	for files := 3; files < most; files++ {
		_, failure := s.run(limited(c, files))
		if failure == nil {
			t.Logf("works with %d files", files)
			return
		}
		// Before the first line of ours Go needs two to wait for others with.
		if !strings.Contains(failure.Error(), "runtime: netpollinit failed") && !strings.Contains(failure.Error(), "runtime: eventfd failed") {
			if err := refused(failure, "too many open files"); err != nil {
				t.Errorf("%d files: %v", files, err)
			}
		}
		if err := holds(); err != nil {
			t.Fatalf("%d files: %v", files, err)
		}
	}
	t.Fatalf("%d files do not do", most)
}

// limited runs a command that may have so many files open.
func limited(c fault.Command, files int) fault.Command {
	n := strconv.Itoa(files)
	c.Args = append([]string{"--nofile=" + n + ":" + n, c.Path}, c.Args...)
	c.Path = "/usr/bin/prlimit"
	return c
}
