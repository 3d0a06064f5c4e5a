package route

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/routetest"
)

// childEnv makes the test program one that applies the plan of this seed.
const childEnv = "FAIRLEAD_ROUTE_TEST_PLAN"

func TestMain(m *testing.M) {
	if seed, err := strconv.ParseUint(os.Getenv(childEnv), 10, 64); err == nil {
		os.Exit(child(seed))
	}
	os.Exit(m.Run())
}

// child applies, and is most likely killed meanwhile.
func child(seed uint64) int {
	table, err := Open()
	if err == nil {
		_, err = table.Apply(largePlan(seed), true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// largePlan takes many sends to make; two of them have most prefixes in common.
// The few that others meddle with are among them.
func largePlan(seed uint64) []dataplane.Route {
	r := roll{rand.New(rand.NewPCG(seed, 2))}
	plan := r.plan()
	for i := range 4000 {
		prefix, v6 := fmt.Sprintf("10.%d.%d.0/26", 100+i>>8, i&0xff), i%2 == 1
		if v6 {
			prefix = fmt.Sprintf("fd01:%x::/122", i)
		}
		switch r.IntN(6) {
		case 0:
		case 1:
			plan = append(plan, routetest.Blackhole(prefix))
		default:
			plan = append(plan, r.form(routetest.Via(prefix, r.hop(v6), r.hop(v6)), v6).Canonical())
		}
	}
	dataplane.SortRoutes(plan)
	return plan
}

// An agent that is killed in the middle of an Apply leaves of each prefix what was
// there or what was to come, and none without; theirs as they were; and the next
// one makes it whole.
func TestKilledInTheMiddle(t *testing.T) {
	n, r := newNode(t), roll{rand.New(rand.NewPCG(7, 3))}
	before := largePlan(0)
	n.apply(true, before...)
	halves := 0
	for seed := range uint64(8) {
		n.meddle(r, 6)
		theirs, after := n.ours("proto", "static"), largePlan(seed+1)
		n.killAfter(seed+1, 1+r.IntN(3000))
		if diff := cmp.Diff(theirs, n.ours("proto", "static")); diff != "" {
			t.Fatalf("round %d: foreign routes (-before +after):\n%s", seed, diff)
		}
		if n.wantBetween(before, after) {
			halves++
		}
		n.wantExactly(after, n.apply(true, after...), theirs)
		if before = after; t.Failed() {
			t.Fatalf("round %d", seed)
		}
	}
	if halves == 0 {
		t.Error("no kill came in the middle: the test shows nothing")
	}
}

// killAfter has another process apply a plan, and kills it by SIGKILL once the
// kernel has told of so many changes.
func (n *node) killAfter(seed uint64, changes int) {
	n.t.Helper()
	m := n.subscribe([]uint{unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE})
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+n.Path(), self)
	cmd.Env, cmd.Stderr = append(os.Environ(), fmt.Sprintf("%s=%d", childEnv, seed)), os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	go func() {
		done <- cmd.Wait()
		cancel()
	}()
	for told := 0; told < changes; {
		err := m.Receive(ctx, func(nl.Event) { told++ })
		if ctx.Err() != nil {
			break // it was faster
		}
		if err != nil && !errors.Is(err, nl.ErrOverrun) {
			n.t.Error(err)
			break
		}
	}
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	if err := <-done; err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 0) {
		n.t.Error(err)
	}
}

// wantBetween wants of each prefix one of the two plans' routes, where both have
// one, and nothing else; but for those that others meddle with. It says whether
// some were of either.
func (n *node) wantBetween(before, after []dataplane.Route) (half bool) {
	n.t.Helper()
	kernel := map[string]string{}
	for _, line := range n.kernel("170") {
		prefix, _, _ := strings.Cut(strings.TrimPrefix(line, "blackhole "), " ")
		kernel[prefix] += line + " "
	}
	var old, new int
	for _, w := range after {
		line, prefix := kernel[w.Prefix.String()], w.Prefix.String()
		delete(kernel, prefix)
		i, wasThere := dataplane.Find(before, w.Prefix)
		switch {
		case meddledWith(prefix):
		case looksLike(line, w):
			new++
		case line == "" && !wasThere:
			old++
		case wasThere && looksLike(line, before[i]):
			old++
		default:
			n.t.Errorf("%s, and before %v: the kernel has %q", w, wasThere, line)
		}
	}
	for prefix, line := range kernel {
		i := slices.IndexFunc(before, func(r dataplane.Route) bool { return r.Prefix.String() == prefix })
		if !meddledWith(prefix) && (i < 0 || !looksLike(line, before[i])) {
			n.t.Errorf("in neither plan: %q", line)
		}
	}
	return old > 0 && new > 0
}

// meddledWith are the prefixes of roll.meddling.
func meddledWith(prefix string) bool {
	return strings.HasPrefix(prefix, "10.244.") || strings.HasPrefix(prefix, "fd00:")
}
