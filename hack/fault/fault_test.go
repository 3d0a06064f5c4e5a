package fault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/fault"
)

// bound ends a run that hangs.
const bound = time.Minute

func shell(script string, args ...string) fault.Command {
	return fault.Command{
		Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...),
		Env: []string{"PATH=" + os.Getenv("PATH")},
	}
}

func trace(t *testing.T, c fault.Command) fault.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	out, err := fault.Trace(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines are the calls as text, the folder left out.
func lines(calls []fault.Call, dir string) []string {
	var out []string
	for _, c := range calls {
		out = append(out, strings.ReplaceAll(fmt.Sprintf("%s: %s", c.Point, c.Detail), dir, "DIR"))
	}
	return out
}

func TestTraceOfFiles(t *testing.T) {
	dir := t.TempDir()
	out := trace(t, shell(`cd "$1"; cat; echo error >&2
		mkdir d; echo 1 > d/f; echo 2 >> d/f; : > d/f; cat < d/f > /dev/null
		mv d/f d/g; ln d/g d/h; ln -s x d/s; chmod 600 d/g
		rm d/g d/h d/s; rmdir d; rmdir d 2>/dev/null; exit 3`, dir))
	want := []string{
		"mkdir 1: d",
		"create 1: d/f", "write 1: DIR/d/f",
		"create 2: d/f", "write 2: DIR/d/f",
		"create 3: d/f",
		"rename 1: d/f to d/g", "link 1: d/g to d/h", "link 2: x to d/s", "chmod 1: d/g",
		"unlink 1: d/g", "unlink 2: d/h", "unlink 3: d/s", "rmdir 1: d",
	}
	if diff := cmp.Diff(want, lines(out.Calls, dir)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if !out.Status.Exited() || out.Status.ExitStatus() != 3 || out.Killed {
		t.Errorf("ended by %#x, killed: %v, want exit status 3", out.Status, out.Killed)
	}
	if out.Stderr != "error\n" {
		t.Errorf("standard error is %q", out.Stderr)
	}
}

func TestTracePassesStandardInput(t *testing.T) {
	c := shell("cat; cat >&2 </dev/null")
	c.Stdin = strings.Repeat("all of it\n", 10000) // more than a pipe holds
	if out := trace(t, c); out.Stdout != c.Stdin || len(out.Calls) != 0 {
		t.Errorf("%d bytes of %d came back, calls %v", len(out.Stdout), len(c.Stdin), out.Calls)
	}
}

// What only root may do, in namespaces that end with the commands.
func TestTraceOfTheKernel(t *testing.T) {
	ns := nstest.New(t, "trace")
	dir := t.TempDir()
	var out fault.Outcome
	ns.Do(t, func() {
		out = trace(t, shell(`cd "$1"
			ip link add tr0 type bridge
			echo 0 > /proc/sys/net/ipv4/conf/tr0/accept_redirects
			flock lock true
			unshare --mount sh -c 'mount -t tmpfs none "$1"; umount "$1"' sh "$1"
			nsenter --net=/proc/self/ns/net true`, dir))
	})
	got := strings.Join(lines(out.Calls, dir), "\n")
	for _, want := range []string{
		"netlink change 1: NEWLINK",
		"sysctl 1: /proc/sys/net/ipv4/conf/tr0/accept_redirects",
		"create 1: lock", "flock 1: DIR/lock", "unshare 1: flags 0x20000", "mount 2: DIR", "umount 1: DIR", "setns 1: net:[",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not seen: %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if strings.Contains(ns.Run(t, "sysctl", "net.ipv4.conf.tr0.accept_redirects"), "= 1") {
		t.Error("the command did not do what it was asked")
	}
}

// Each point of a run is reached, and nothing after it happens.
func TestKill(t *testing.T) {
	const script = `cd "$1"; for n in 1 2 3; do echo $n > $n; mkdir d$n; done; mv 1 0`
	first := t.TempDir()
	points := trace(t, shell(script, first)).Calls
	if len(points) != 10 {
		t.Fatalf("%d points, want 10: %v", len(points), points)
	}
	for i, p := range points {
		dir := t.TempDir()
		out, err := fault.Kill(t.Context(), shell(script, dir), p.Point)
		if err != nil {
			t.Fatal(err)
		}
		if !out.Killed || !out.Status.Signaled() || out.Status.Signal() != unix.SIGKILL {
			t.Errorf("%s: killed: %v, ended by %#x", p, out.Killed, out.Status)
		}
		if diff := cmp.Diff(lines(points[:i+1], first), lines(out.Calls, dir)); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", p, diff)
		}
		names, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		if want := min((i+3)/3+(i+1)/3, 6); len(names) != want {
			t.Errorf("%s: %d files, want %d", p, len(names), want)
		}
	}
}

func TestKillWhereItNeverComes(t *testing.T) {
	out, err := fault.Kill(t.Context(), shell("exit 4"), fault.Point{Kind: fault.Rename, Ordinal: 1})
	if err != nil || out.Killed || out.Status.ExitStatus() != 4 {
		t.Errorf("%+v, %v", out, err)
	}
}

// What a command started is killed with it.
func TestKillTakesChildren(t *testing.T) {
	dir := t.TempDir()
	out, err := fault.Kill(t.Context(), shell(`(sleep 1000; echo late > "$1/late") & sleep 1000 & mkdir "$1/d"; wait`, dir),
		fault.Point{Kind: fault.Mkdir, Ordinal: 1})
	if err != nil || !out.Killed { // it returns only when all of them are gone
		t.Errorf("%+v, %v", out, err)
	}
}

func TestTraceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if out, err := fault.Trace(ctx, shell("sleep 1000")); err == nil {
		t.Errorf("%+v", out)
	}
}

func TestTraceOfNoProgram(t *testing.T) {
	if _, err := fault.Trace(t.Context(), fault.Command{Path: "/is-not-there"}); err == nil {
		t.Error("no error")
	}
}
