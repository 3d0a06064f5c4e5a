package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairlead.dev/dataplane"
)

// sysctl is one value that Fairlead needs.
type sysctl struct {
	name string // path below the folder of all sysctls
	// from is the one value that is changed; any other is the operator's and fine.
	from, to string
	why      string
	// along are patterns of the sysctls that the kernel changes along with it.
	along []string
}

// ipForward is there in every kernel.
const ipForward = "net/ipv4/ip_forward"

// sysctls are set in this order, see uplinks for what comes before them. Each
// is explained to the operator in docs/dataplane.md.
func sysctls() []sysctl {
	return []sysctl{
		{
			name: "net/ipv6/conf/all/forwarding", from: "0", to: "1",
			why:   "packets of IPv6 pods pass through the node",
			along: []string{"net/ipv6/conf/*/forwarding"},
		},
		{
			name: ipForward, from: "0", to: "1",
			why:   "packets of IPv4 pods pass through the node",
			along: []string{"net/ipv4/conf/*/forwarding", "net/ipv4/conf/all/accept_redirects"},
		},
		{
			name: "net/ipv4/fib_multipath_hash_policy", from: "0", to: "1",
			why: "connections between two nodes spread over all next hops, not each pair of nodes over one",
		},
		{
			name: "net/ipv6/fib_multipath_hash_policy", from: "0", to: "1",
			why: "connections between two nodes spread over all next hops, not each pair of nodes over one",
		},
	}
}

// Prepare sets every sysctl that Fairlead needs and reads it back. dir is
// /proc/sys or another mount of it: the kernel shows in either the network
// namespace of the thread that opens a file below it. The values
// from before are kept in file (JSON, mode 0600) for Restore, each from the
// first time that it is changed; file belongs on tmpfs, as sysctls do not outlive
// the kernel either. A sysctl that the kernel does not have is passed over (no
// IPv6, no multipath). One that fails does not stop the others.
//
// It may be called again at any time, from one goroutine, and is to be: it mends
// what drifted and finds the uplinks that came since, which take no router
// advertisements until then. What was kept first stays kept. With nothing to do
// it reads two values of each link that is no pod's, and writes nothing.
func Prepare(dir, file string) error {
	kept, err := load(dir, file)
	if err != nil {
		return err
	}
	// What is not there is passed over: a wrong folder would pass for a kernel
	// that has nothing.
	if _, err := kept.read(ipForward); err != nil {
		return fmt.Errorf("find the node's sysctls in %s: %w", dir, err)
	}
	needs, err := uplinks(kept)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range append(needs, sysctls()...) {
		if err := s.set(kept); err != nil {
			errs = append(errs, fmt.Errorf("set sysctl %s to %s, so that %s: %w", s.name, s.to, s.why, err))
		}
	}
	return errors.Join(errs...)
}

// Restore writes back what file keeps, the last change first, and removes it.
// Without a file there is nothing to do; a link that is gone needs nothing; a
// value that could not be restored keeps the file.
func Restore(dir, file string) error {
	kept, err := load(dir, file)
	if err != nil {
		return err
	}
	var errs []error
	for i := len(kept.values) - 1; i >= 0; i-- {
		v := kept.values[i]
		if err := kept.write(v.Name, v.Value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("restore sysctl %s: %w", v.Name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return kept.remove()
}

// uplinks returns the need for accept_ra=2 on every link that takes its default
// route from router advertisements: with accept_ra=1 a link stops listening to
// them, and the kernel forgets the route, as soon as it forwards (RFC 4861
// section 6.2.1). A link that forwarded before us did not listen then either.
func uplinks(kept *values) ([]sysctl, error) {
	links, err := kept.expand("net/ipv6/conf/*/accept_ra")
	if err != nil {
		return nil, err
	}
	var needs []sysctl
	for _, name := range links {
		before, err := kept.forwarding(filepath.Dir(name))
		switch link := filepath.Base(filepath.Dir(name)); {
		case errors.Is(err, fs.ErrNotExist): // the link is gone
		case err != nil:
			return nil, err
		case before == "0" && link != "all" && link != "default" && link != "lo":
			needs = append(needs, sysctl{
				name: name, from: "1", to: "2",
				why: "the link's default route from router advertisements outlives forwarding",
			})
		}
	}
	return needs, nil
}

// set changes the value if it is the one that is in the way.
func (s sysctl) set(kept *values) error {
	found, err := kept.read(s.name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && found != s.from {
		return nil
	}
	if err != nil {
		return err
	}
	names := []string{s.name}
	for _, pattern := range s.along {
		more, err := kept.expand(pattern)
		if err != nil {
			return err
		}
		names = append(names, slices.DeleteFunc(more, func(n string) bool { return n == s.name })...)
	}
	if err := kept.keep(names); err != nil {
		return err
	}
	return kept.write(s.name, s.to)
}

// sysctlDir is the folder of all sysctls.
type sysctlDir string

// expand lists the sysctls of a pattern, in which * stands for every link but
// those of pods. Some of the links may not have that sysctl, or be gone.
func (d sysctlDir) expand(pattern string) ([]string, error) {
	folder, setting, perLink := strings.Cut(pattern, "*")
	if !perLink {
		return []string{pattern}, nil
	}
	// Not filepath.Glob, which looks at each pod's as well: a hundred times slower.
	dir, err := os.Open(filepath.Join(string(d), folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without IPv6
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	links, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(links)
	var names []string
	for _, link := range links {
		if !dataplane.IsPodLink(link) && link != dataplane.OverlayLink {
			names = append(names, folder+link+setting)
		}
	}
	return names, nil
}

func (d sysctlDir) read(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(string(d), name))
	return strings.TrimSpace(string(b)), err
}

// write sets the value and reads it back: some are silently adjusted.
func (d sysctlDir) write(name, value string) error {
	// Without O_CREATE, for what is not there.
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	found, err := d.read(name)
	if err == nil && found != value {
		err = fmt.Errorf("still %s after %s was written", found, value)
	}
	return err
}
