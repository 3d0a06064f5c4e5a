package fault_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// cycles is 5,000 for make soak.
var cycles = flag.Int("cycles", 500, "how many pods come and go in TestCycles")

const (
	// soak is the number of cycles from which on the kernel's memory is looked at:
	// with fewer, what others do on the machine is more than what could leak.
	soak = 5000
	// mostGrowth of the kernel's memory, in KiB. A link that is lost in each cycle
	// is several times as much.
	mostGrowth = 64 << 10
	// together is how many pods are there at a time.
	together = 8
)

// Pods that come and go leave nothing: no address, link, route, rule, sysctl, or
// open file.
func TestCycles(t *testing.T) {
	n := newNode(t)
	c := &cycle{node: n, living: map[netip.Addr]string{}}
	var pods []pod
	var clean [][]string
	for range together {
		p, err := newPod()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.release)
		untouched, err := look(p.ns, "")
		if err != nil {
			t.Fatal(err)
		}
		pods, clean = append(pods, p), append(clean, untouched)
	}
	c.run(t, pods, together) // what is made once, by us and by the kernel
	node, err := look(n.ns, "")
	if err != nil {
		t.Fatal(err)
	}
	before := open(t, n)
	memory := kernelMemory(t)

	c.run(t, pods, *cycles)

	if grown := kernelMemory(t) - memory; *cycles >= soak && grown > mostGrowth {
		t.Errorf("the kernel's memory has grown by %d KiB", grown)
	} else {
		t.Logf("%d cycles, the kernel's memory has grown by %d KiB", *cycles, grown)
	}
	if diff := cmp.Diff(before, open(t, n)); diff != "" {
		t.Errorf("open files and sockets (-before +after):\n%s", diff)
	}
	now, err := look(n.ns, "")
	if diff := cmp.Diff(node, now); err != nil || diff != "" {
		t.Errorf("the node is not as it was (-before +after):\n%s %v", diff, err)
	}
	if h, err := n.held(); err != nil || len(h.Allocations) != 0 {
		t.Errorf("held: %+v, %v", h.Allocations, err)
	}
	for i, p := range pods {
		if err := isLike(p, clean[i]); err != nil {
			t.Error(err)
		}
	}
}

// cycle is a node on which pods come and go.
type cycle struct {
	*node
	mu     sync.Mutex // guards living
	living map[netip.Addr]string
}

// run attaches and detaches the pods, each in turn with itself, so many times in all.
func (c *cycle) run(t *testing.T, pods []pod, times int) {
	t.Helper()
	turns := make(chan int, times)
	for i := range times {
		turns <- i
	}
	close(turns)
	var g errgroup.Group
	for _, p := range pods {
		g.Go(func() error {
			return c.ns.Inside(func() error {
				for i := range turns {
					if err := c.turn(p); err != nil {
						return fmt.Errorf("cycle %d: %w", i, err)
					}
				}
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (c *cycle) turn(p pod) error {
	r, err := execute(c.call("ADD", p))
	if err != nil {
		return fmt.Errorf("ADD: %w", err)
	}
	if len(r.IPs) != 2 {
		return fmt.Errorf("ADD gave %+v, want an address of each family", r)
	}
	if err := c.note(r, p); err != nil {
		return err
	}
	c.forget(r) // from here on DEL may have freed them
	if _, err := execute(c.call("DEL", p)); err != nil {
		return fmt.Errorf("DEL: %w", err)
	}
	return nil
}

func (c *cycle) note(r result, p pod) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range r.addresses() {
		if other := c.living[a]; other != "" {
			return fmt.Errorf("%s is given to %s while %s has it", a, p.id, other)
		}
		c.living[a] = p.id
	}
	return nil
}

func (c *cycle) forget(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range r.addresses() {
		delete(c.living, a)
	}
}

// open counts what this process has open, and the node's netlink sockets.
func open(t *testing.T, n *node) map[string]int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := n.ns.Run(t, "cat", "/proc/net/netlink")
	return map[string]int{"files": len(files), "netlink sockets": strings.Count(sockets, "\n")}
}

// kernelMemory is what the kernel cannot give back, in KiB (proc_meminfo(5)).
func kernelMemory(t *testing.T) int {
	t.Helper()
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(info), "SUnreclaim:")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		t.Fatalf("no SUnreclaim in %s", info)
	}
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
