package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// macChanged: a pod whose MAC is not the one that it was made with is reached,
// and reaches, whoever changed it.
func (s *scene) macChanged(t *testing.T) {
	const first, second = "02:00:5e:00:53:01", "02:00:5e:00:53:02"
	c := s.chain(t, "mac", plugin{"type": "tuning", "mac": first})
	pod := c.add(t, "renamed")
	if got := s.machine.mac(t, "-n", pod.name, "eth0"); got != first {
		t.Fatalf("tuning left the pod's MAC %s, want %s", got, first)
	}
	s.reachable(t, pod.name, pod.path(), pod.address)
	c.check(t, pod)
	s.machine.run(t, "ip", "-n", pod.name, "link", "set", "eth0", "address", second)
	s.reachable(t, pod.name, pod.path(), pod.address)
	c.del(t, pod)
}

// mac of a link, by ip with the arguments before its name.
func (m *machine) mac(t *testing.T, args ...string) string {
	t.Helper()
	options, name := args[:len(args)-1], args[len(args)-1]
	var links []struct{ Address string }
	out := m.run(t, append(append([]string{"ip", "-j"}, options...), "link", "show", name)...)
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		t.Fatalf("link %s: %v: %s", name, err, out)
	}
	return links[0].Address
}

// assigned is how a link got its MAC (linux/netdevice.h): 1 random, 3 by whoever
// made or changed it, which is what udev leaves alone.
func (m *machine) assigned(t *testing.T, link string) string {
	t.Helper()
	return strings.TrimSpace(m.run(t, "cat", filepath.Join("/sys/class/net", link, "addr_assign_type")))
}

// udevRule is what of udev's rules concerns links: it applies .link files.
const udevRule = "80-net-setup-link.rules"

// startUdev starts systemd-udevd on a machine, with that rule alone: what happens
// to the host's other devices is none of the scenario's business.
func (s *scene) startUdev(t *testing.T, m *machine) {
	t.Helper()
	rules := filepath.Join(m.folder, "rules")
	if err := os.Mkdir(rules, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/usr/lib/udev/rules.d", "/lib/udev/rules.d"} {
		if rule, err := os.ReadFile(filepath.Join(dir, udevRule)); err == nil {
			if err := os.WriteFile(filepath.Join(rules, udevRule), rule, 0o600); err != nil {
				t.Fatal(err)
			}
			m.run(t, "mount", "--bind", rules, dir)
		}
	}
	if _, err := os.Stat("/etc/udev"); err == nil {
		m.run(t, "mount", "-t", "tmpfs", "none", "/etc/udev")
	}
	// Debian's policy, which an administrator may have replaced.
	policy := "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=persistent\n"
	m.run(t, "mkdir", "-p", "/run/systemd/network")
	if _, err := execute(t.Context(), nil, policy, m.command("tee", "/run/systemd/network/00-lab.link")...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartProcess(m.node+"-udevd", m.command("/lib/systemd/systemd-udevd")...); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "udevd answers", func(ctx context.Context) error {
		_, err := execute(ctx, nil, "", m.command("udevadm", "control", "--ping")...)
		return err
	})
}

// udev gives links MACs of its own choice by its policy, and leaves ours.
func (s *scene) udev(t *testing.T) {
	requireProgram(t, "/lib/systemd/systemd-udevd", "udev")
	m := s.startMachine(t, other)
	s.startUdev(t, m)
	m.run(t, "ip", "link", "add", "plain0", "type", "veth", "peer", "name", "plain1")
	t.Cleanup(func() {
		if _, err := execute(context.WithoutCancel(t.Context()), nil, "", m.command("ip", "link", "del", "plain0")...); err != nil {
			t.Error(err)
		}
	})
	// The counterexample: udev is at work, and does what ours must not suffer.
	s.eventually(t, "udev changes the MAC of a link made without one", func(context.Context) error {
		if how := m.assigned(t, "plain0"); how != "3" {
			return fmt.Errorf("addr_assign_type is %s", how)
		}
		return nil
	})
	pod := s.addPod(t, other, "seen")
	veth := m.peer(t, s.from(pod.Role()))
	s.eventually(t, "udev has seen "+veth, func(ctx context.Context) error {
		out, err := execute(ctx, nil, "", m.command("udevadm", "info", "--query=property", "--path=/sys/class/net/"+veth)...)
		if err == nil && !strings.Contains(out, "ID_NET_LINK_FILE=") {
			err = fmt.Errorf("udev knows %q", out)
		}
		return err
	})
	m.run(t, "udevadm", "settle")
	if how := m.assigned(t, veth); how != "3" {
		t.Errorf("addr_assign_type of %s is %s, want 3: made with its MAC", veth, how)
	}
	neighbours, err := s.Exec(t.Context(), pod.Role(), "ip", "neigh", "show")
	if mac := m.mac(t, veth); err != nil || !strings.Contains(neighbours, mac) {
		t.Errorf("%s has MAC %s, which the pod does not know: %v\n%s", veth, mac, err, neighbours)
	}
	for _, f := range families() {
		s.pinged(t, s.from(s.far.Role()), pod.Address(f))
		s.pinged(t, s.from(pod.Role()), s.far.Address(f))
	}
}
