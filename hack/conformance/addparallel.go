package conformance

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"fairlead.dev/hack/fault"
)

// ADDs beside each other, and beside one that dies.

// atOnce is how many containers are attached at once.
const atOnce = 16

func addParallelObligations() []Obligation {
	return []Obligation{
		{
			ID: "parallel-distinct", Level: Must, Source: specRuntime,
			Text: fmt.Sprintf("%d ADDs of different containers at once succeed and give distinct addresses.", atOnce),
			try:  func(t *Trial) { t.node(Large).atOnce() },
		},
		{
			ID: "parallel-ping", Level: Must, Source: specRuntime,
			Text: fmt.Sprintf("Each of %d containers that were attached at once reaches the next, in both families.", atOnce),
			try: func(t *Trial) {
				containers, addrs := t.node(Large).atOnce()
				for i, c := range containers {
					c.pings("a container to the next", addrs[(i+1)%len(addrs)]...)
				}
			},
		},
		{
			ID: "parallel-delete", Level: Must, Source: specRuntime,
			Text: fmt.Sprintf("%d DELs at once succeed and leave nothing, and ADDs beside them succeed.", atOnce),
			try: func(t *Trial) {
				n := t.node(Large)
				containers, _ := n.atOnce()
				var fresh []*container
				for range containers {
					fresh = append(fresh, n.container())
				}
				var deleted, added []Answer
				var wg sync.WaitGroup
				wg.Go(func() { deleted = answers("DEL", containers) })
				wg.Go(func() { added = answers("ADD", fresh) })
				wg.Wait()
				for i := range containers {
					t.succeeds(deleted[i], "DEL")
					t.succeeds(added[i], "ADD")
				}
				for _, c := range containers {
					if hasLink(t, c.ns, c.ifName) {
						t.fail("an interface is left in a container")
					}
				}
				distinct(t, added)
			},
		},
		{
			ID: "killed-lock", Level: Must, Source: specRuntime,
			Text: "A plugin that is killed (SIGKILL) while it holds a lock holds up nobody: ADD and DEL of other containers go on.",
			try: func(t *Trial) {
				n := t.node(Large)
				live := n.container()
				live.added()
				n.container().killedAdd(locks()...)
				n.container().added()
				live.deleted()
			},
		},
		{
			ID: "killed-add", Level: Must, Source: specRuntime,
			Text: "DEL after an ADD that was killed, with its lock held or right after its first change of the kernel, succeeds, leaves nothing, and its addresses are free.",
			try: func(t *Trial) {
				n := t.node(Small)
				node := n.look()
				for i := range 2 * int(Small) {
					c := n.container()
					if i%2 == 0 {
						c.killedAdd(locks()...)
					} else {
						c.killedAdd(fault.NetlinkChange)
					}
					t.succeeds(c.call("DEL"), "DEL after an ADD that was killed")
					if hasLink(t, c.ns, c.ifName) {
						t.fail("an interface is left in the container")
					}
				}
				t.same("the node", node, n.look())
				n.hasRoom(int(Small))
			},
		},
	}
}

// atOnce attaches many containers at the same time.
func (n *node) atOnce() ([]*container, [][]netip.Addr) {
	var containers []*container
	for range atOnce {
		containers = append(containers, n.container())
	}
	added := answers("ADD", containers)
	for i, a := range added {
		n.t.succeeds(a, "one of many ADDs")
		containers[i].prev = []byte(a.Stdout)
	}
	return containers, distinct(n.t, added)
}

// answers are those of a verb about all containers at the same time.
func answers(verb string, containers []*container) []Answer {
	got := make([]Answer, len(containers))
	var wg sync.WaitGroup
	for i, c := range containers {
		wg.Go(func() { got[i] = c.call(verb) })
	}
	wg.Wait()
	return got
}

// distinct are the addresses that ADDs gave, each given once.
func distinct(t *Trial, added []Answer) [][]netip.Addr {
	var all [][]netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range added {
		addrs := t.result(a).addresses()
		for _, addr := range addrs {
			if seen[addr] {
				t.fail("an address is given twice")
			}
			seen[addr] = true
		}
		all = append(all, addrs)
	}
	return all
}

// locks are the calls by which a program locks a file.
func locks() []fault.Kind { return []fault.Kind{fault.Flock, fault.FcntlLock} }

// killedAdd executes ADD, and kills the plugin and what it started right after
// its first call of one of those kinds. One that makes none goes to its end, and
// is deleted.
func (c *container) killedAdd(kinds ...fault.Kind) {
	t := c.node.t
	env := call{env: map[string]string{
		"CNI_COMMAND": "ADD", "CNI_PATH": t.plugin.Dir, "CNI_CONTAINERID": c.id, "CNI_NETNS": c.netns(), "CNI_IFNAME": c.ifName,
	}}
	command := fault.Command{Path: t.plugin.program(), Env: env.environment(), Stdin: c.node.configJSON()}
	for _, kind := range kinds {
		ctx, cancel := context.WithTimeout(context.Background(), callBound)
		var out fault.Outcome
		err := c.node.ns.Inside(func() (err error) {
			out, err = fault.Kill(ctx, command, fault.Point{Kind: kind, Ordinal: 1})
			return err
		})
		cancel()
		t.must(err)
		t.note("ADD to be killed at its first %s: killed %v, status %#x\n%s%s", kind, out.Killed, out.Status, out.Stdout, out.Stderr)
		if out.Killed {
			return
		}
		t.succeeds(c.call("DEL"), "DEL")
	}
}
