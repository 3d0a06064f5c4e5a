package runtime

import (
	"fmt"
	"strings"
	"testing"
)

// sysctl that a pod's tuning sets, and its value; the kernel's default is 1.
const tuned = "net.ipv4.conf.IFNAME.arp_announce"

func tuning() plugin {
	return plugin{"type": "tuning", "sysctl": map[string]string{tuned: "2"}, "mtu": 1400, "allmulti": true}
}

func portmap(backend string) plugin {
	return plugin{"type": "portmap", "snat": true, "backend": backend, "capabilities": map[string]bool{"portMappings": true}}
}

func shaper() plugin {
	return plugin{"type": "bandwidth", "capabilities": map[string]bool{"bandwidth": true}}
}

func firewall() plugin { return plugin{"type": "firewall", "backend": "iptables"} }

func sourceRouting() plugin { return plugin{"type": "sbr"} }

const (
	everyRate = 100_000_000 // bit/s
	everyPort = "30100"
)

// everything that a pod can want of the plugins.
func everything() map[string]any {
	return map[string]any{
		"portMappings": []map[string]any{{"hostPort": 30100, "containerPort": 8080, "protocol": "tcp"}},
		"bandwidth": map[string]any{
			"ingressRate": everyRate, "ingressBurst": 8_000_000, "egressRate": everyRate, "egressBurst": 8_000_000,
		},
	}
}

// effect fails the test unless a plugin did its work on a pod of ours.
type effect func(*scene, *testing.T, attachment)

// tunes: settings inside the pod.
func tunes(s *scene, t *testing.T, pod attachment) {
	t.Helper()
	inside := s.machine.from(pod.name, pod.path())
	setting := strings.ReplaceAll(tuned, "IFNAME", "eth0")
	out, err := execute(t.Context(), nil, "", inside.line("sysctl", "-n", setting)...)
	if err != nil || out != "2\n" {
		t.Errorf("%s: %v: %s", setting, err, out)
	}
	out, err = execute(t.Context(), nil, "", inside.line("ip", "link", "show", "eth0")...)
	if err != nil || !strings.Contains(out, "mtu 1400") || !strings.Contains(out, "ALLMULTI") {
		t.Errorf("link of the pod: %v: %s", err, out)
	}
}

// admits: what the pod begins passes although the node forwards nothing by itself.
func admits(s *scene, t *testing.T, pod attachment) {
	t.Helper()
	for _, program := range []string{"iptables", "ip6tables"} {
		s.machine.run(t, program, "-P", "FORWARD", "DROP")
	}
	for _, f := range families() {
		s.pinged(t, s.machine.from(pod.name, pod.path()), s.far.Address(f), "-I", pod.address(f).String())
	}
	for _, program := range []string{"iptables", "ip6tables"} {
		s.machine.run(t, program, "-P", "FORWARD", "ACCEPT")
	}
}

// routes: each address of the pod has a table of its own.
func routes(s *scene, t *testing.T, pod attachment) {
	t.Helper()
	inside := s.machine.from(pod.name, pod.path())
	for i, f := range families() {
		out, err := execute(t.Context(), nil, "", inside.line("ip", fmt.Sprintf("-%d", f.Number()), "rule", "show")...)
		if want := fmt.Sprintf("from %s lookup %d", pod.address(f), 100+i); err != nil || !strings.Contains(out, want) {
			t.Errorf("rules of the pod lack %q: %v: %s", want, err, out)
		}
	}
}

// shapes: both directions have a rate.
func shapes(s *scene, t *testing.T, pod attachment) {
	t.Helper()
	s.shaped(t, s.machine.from(pod.name, pod.path()), everyRate, everyRate)
}

// maps: the pod answers on the node's port.
func maps(s *scene, t *testing.T, pod attachment) {
	t.Helper()
	s.serve(t, pod)
	for _, f := range families() {
		if _, err := s.ask(t.Context(), s.from(other), "tcp", s.Node(node).Address(f), everyPort); err != nil {
			t.Error(err)
		}
	}
}

// chains has the upstream cnitool work with the reference plugins after ours,
// each alone and all together, from ADD to DEL and to GC.
func (s *scene) chains(t *testing.T) {
	for _, tc := range []struct {
		name    string
		after   []plugin
		effects []effect
	}{
		{"alone", nil, nil},
		{"portmap-iptables", []plugin{portmap("iptables")}, []effect{maps}},
		{"portmap-nftables", []plugin{portmap("nftables")}, []effect{maps}},
		{"bandwidth", []plugin{shaper()}, []effect{shapes}},
		{"tuning", []plugin{tuning()}, []effect{tunes}},
		{"firewall", []plugin{firewall()}, []effect{admits}},
		{"sbr", []plugin{sourceRouting()}, []effect{routes}},
		{
			"all-iptables",
			[]plugin{tuning(), shaper(), firewall(), portmap("iptables"), sourceRouting()},
			[]effect{tunes, shapes, admits, maps, routes},
		},
		{
			"all-nftables",
			[]plugin{tuning(), shaper(), firewall(), portmap("nftables"), sourceRouting()},
			[]effect{tunes, shapes, admits, maps, routes},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.chain(t, tc.name, tc.after...)
			c.wants(everything())
			c.do(t, "status", attachment{})
			pod := c.add(t, "chained")
			s.reachable(t, pod.name, pod.path(), pod.address)
			for _, shows := range tc.effects {
				shows(s, t, pod)
			}
			c.check(t, pod)
			c.del(t, pod)
			c.del(t, pod) // twice is no error
			// Plugins keep what they share once a pod wanted it.
			before := s.machine.traces(t)
			c.attach(t, &pod)
			c.check(t, pod)
			c.del(t, pod)
			s.machine.leavesNothing(t, before)
			c.attach(t, &pod)
			c.gc(t, pod)
			s.machine.leavesNothing(t, before)
		})
	}
}
