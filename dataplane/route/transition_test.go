package route

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/routetest"
)

// monitor is ip-monitor(8) inside the node: an independent witness of every
// change to its routes.
type monitor struct {
	lines chan string
	t     testing.TB
	n     *node
}

func (n *node) monitor() *monitor {
	n.t.Helper()
	cmd := exec.Command("nsenter", "--net="+n.Path(), "stdbuf", "-oL", "ip", "-o", "monitor", "route")
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	m := &monitor{lines: make(chan string, 4096), t: n.t, n: n}
	go func() {
		defer close(m.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			m.lines <- s.Text()
		}
	}()
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range m.lines { // until its end, so that Wait finds nobody reading
		}
		_ = cmd.Wait()
	})
	m.until("198.51.100.0/24") // it listens from when it first sees the mark
	return m
}

// until makes a change of its own, and returns all that was seen before it.
func (m *monitor) until(mark string) []string {
	m.t.Helper()
	var seen []string
	timeout := time.After(5 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	m.n.ip("route", "replace", "unreachable", mark, "proto", "static")
	for {
		select {
		case line := <-m.lines:
			if strings.Contains(line, mark) {
				return seen
			}
			seen = append(seen, line)
		case <-again.C:
			m.n.ip("route", "del", "unreachable", mark, "proto", "static")
			m.n.ip("route", "add", "unreachable", mark, "proto", "static")
		case <-timeout:
			m.t.Fatalf("ip monitor did not see %s", mark)
		}
	}
}

// Every form of a route can follow every other, and the prefix is never
// without one: the kernel never tells of a deletion.
func TestTransitionsLeaveNoGap(t *testing.T) {
	for family, forms := range map[string][]dataplane.Route{
		"IPv4": {
			routetest.Via("10.244.1.0/26", "10.2.0.11"),
			routetest.Via("10.244.1.0/26", "10.2.0.12"),
			routetest.Via("10.244.1.0/26", "10.2.0.11", "10.3.0.11"),
			routetest.Via("10.244.1.0/26", "10.2.0.12", "10.2.0.13", "10.3.0.11"),
			routetest.Via("10.244.1.0/26", "10.2.0.11", "2001:db8:2::11"),
			routetest.From(routetest.OnLink(routetest.Via("10.244.1.0/26", "fe80::9"), "eth1"), "10.2.0.1"),
			routetest.Blackhole("10.244.1.0/26"),
		},
		"IPv6": {
			routetest.Via("fd00:1::/122", "2001:db8:2::11"),
			routetest.Via("fd00:1::/122", "2001:db8:2::12"),
			routetest.Via("fd00:1::/122", "2001:db8:2::11", "2001:db8:3::11"),
			routetest.Via("fd00:1::/122", "2001:db8:2::12", "2001:db8:2::13", "2001:db8:3::11"),
			routetest.From(routetest.OnLink(routetest.Via("fd00:1::/122", "fe80::9", "fe80::10"), "eth1"), "2001:db8:2::1"),
			routetest.Blackhole("fd00:1::/122"),
		},
	} {
		t.Run(family, func(t *testing.T) {
			n := newNode(t)
			m := n.monitor()
			mark := 0
			for i, from := range forms {
				for j, to := range forms {
					if i == j {
						continue
					}
					n.install(from)
					n.install(to)
					mark++
					for _, line := range m.until(fmt.Sprintf("198.51.%d.0/24", 100+mark)) {
						if strings.HasPrefix(line, "Deleted") && strings.Contains(line, to.Prefix.String()) {
							t.Errorf("%s -> %s: the kernel says %q", from, to, line)
						}
					}
				}
			}
		})
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	n := newNode(t)
	routes := []dataplane.Route{
		routetest.Via("10.244.2.0/26", "10.2.0.11", "10.3.0.11"), routetest.Blackhole("10.244.3.0/26"),
		routetest.Via("fd00:1::/122", "fe80::9%eth1"), routetest.Via("fd00:2::/122", "2001:db8:2::11", "2001:db8:3::11"), routetest.Blackhole("fd00:3::/122"),
	}
	n.install(routes...)
	m := n.monitor()
	n.install(routes...)
	for _, line := range m.until("198.51.101.0/24") {
		if strings.Contains(line, "10.244.") || strings.Contains(line, "fd00:") {
			t.Errorf("an Apply of what is there made the kernel say %q", line)
		}
	}
}
