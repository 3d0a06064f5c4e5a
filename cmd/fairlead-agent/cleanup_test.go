package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin/install"
	"fairlead.dev/cniplugin/store"
	"fairlead.dev/config"
	"fairlead.dev/controller/node"
	"fairlead.dev/controller/plan"
	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/host"
	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/dataplane/overlay"
	"fairlead.dev/dataplane/route"
)

// used is a node on which an agent has been.
type used struct {
	ns   nstest.NS
	root string
	cfg  config.Agent
	// kernel and files are what was there before.
	kernel string
}

func newUsed(t *testing.T) *used {
	t.Helper()
	u := &used{ns: nstest.New(t, "cleanup"), root: t.TempDir()}
	u.cfg = config.DefaultAgent()
	u.cfg.NodeName = "n1"
	u.cfg.RunDir, u.cfg.StateDir = filepath.Join(u.root, "run"), filepath.Join(u.root, "state")
	u.cfg.CNIBinDir, u.cfg.CNIConfDir = filepath.Join(u.root, "bin"), filepath.Join(u.root, "net.d")
	for _, args := range [][]string{
		{"link", "add", "eth0", "type", "veth", "peer", "name", "far0"},
		{"link", "set", "eth0", "addrgenmode", "none"}, // no address that becomes ready in the meantime
		{"link", "set", "far0", "addrgenmode", "none"},
		{"link", "set", "far0", "up"},
		{"link", "set", "eth0", "up"},
		{"addr", "add", "10.1.0.11/24", "dev", "eth0"},
		{"addr", "add", "fd00:1::11/64", "dev", "eth0", "nodad"},
		{"route", "add", "10.9.0.0/16", "via", "10.1.0.1"},
		{"route", "add", "blackhole", "10.244.9.0/26"},
		{"neigh", "add", "10.1.0.1", "lladdr", "02:00:00:00:00:01", "dev", "eth0"},
		{"link", "add", "flannel.1", "address", "02:00:00:00:00:02", "type", "vxlan", "id", "1", "dstport", "8472", "dev", "eth0"},
	} {
		u.ns.Run(t, "ip", args...)
	}
	u.ns.Run(t, "bridge", "fdb", "append", "02:00:00:00:00:03", "dev", "flannel.1", "dst", "10.1.0.1")
	u.ns.Run(t, "nft", "add table inet others; add chain inet others c { type nat hook postrouting priority 100; }; add rule inet others c ip saddr 10.9.0.0/16 masquerade")
	u.ns.Run(t, "sysctl", "-q", "-w", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
	u.awaitCarrier(t, "eth0", "far0")
	u.kernel = u.look(t)
	u.serve(t)
	if u.look(t) == u.kernel {
		t.Fatal("the agent changed nothing that the test sees")
	}
	return u
}

// awaitCarrier waits until links are up, which the kernel notes some time after
// their other ends are.
func (u *used) awaitCarrier(t *testing.T, links ...string) {
	t.Helper()
	for _, link := range links {
		for began := time.Now(); !strings.Contains(u.ns.Run(t, "ip", "link", "show", link), "state UP"); time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("%s does not come up", link)
			}
		}
	}
}

// serve leaves what an agent leaves.
func (u *used) serve(t *testing.T) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	programs := t.TempDir()
	for _, name := range []string{"fairlead-cni", install.PortmapName, install.BandwidthName} {
		must(t, os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"), 0o600))
	}
	u.ns.Do(t, func() {
		release, err := node.Own(u.cfg.RunDir)
		must(t, err)
		defer release()
		must(t, host.Prepare(u.cfg.SysctlDir, sysctlFile(u.cfg)))
		must(t, install.Programs(programs, u.cfg.CNIBinDir))
		_, err = keeper(u.cfg, log).Keep(true)
		must(t, err)
		_, err = node.OpenStore(storeDir(u.cfg), func() ([]dataplane.PodRoute, error) { return nil, nil }, log)
		must(t, err)
		memory, err := remember(u.cfg, "https://192.0.2.1:6443")
		must(t, err)
		must(t, memory.Save(plan.Intent{}, time.Now()))
		l, err := node.ListenSocket(filepath.Join(u.cfg.RunDir, "agent.sock"))
		must(t, err)
		_ = l // a killed agent closes nothing
		must(t, with(openOverlay(u.cfg), func(d *overlay.Device) error {
			_, err := d.Apply(&dataplane.Overlay{
				VXLAN: dataplane.VXLAN{VNI: 4096, Port: 4789}, Local: netip.MustParseAddr("10.1.0.11"), MAC: dataplane.OverlayMAC("n1"), MTU: 1450,
				Addresses: []netip.Addr{netip.MustParseAddr("10.244.0.0"), netip.MustParseAddr("fd00:244::")},
				VTEPs: []dataplane.VTEP{{
					MAC: dataplane.OverlayMAC("n2"), Underlay: netip.MustParseAddr("10.2.0.12"), Neighbours: []netip.Addr{netip.MustParseAddr("10.2.0.12")},
				}},
			}, true)
			return err
		}))
		must(t, with(filter.Open, func(f *filter.Table) error {
			return f.Apply(dataplane.Filter{
				Pods:       []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
				Translated: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
				Uplinks:    []dataplane.Uplink{{Link: "eth0", Address: netip.MustParseAddr("10.1.0.11")}},
			})
		}))
		must(t, with(route.Open, func(r *route.Table) error {
			result, err := r.Apply([]dataplane.Route{
				{Prefix: netip.MustParsePrefix("10.244.0.0/26"), Kind: dataplane.Blackhole},
				{Prefix: netip.MustParsePrefix("10.244.1.0/26"), NextHops: []netip.Addr{netip.MustParseAddr("10.1.0.1")}},
				{Prefix: netip.MustParsePrefix("10.244.2.0/26"), NextHops: []netip.Addr{netip.MustParseAddr("10.2.0.12")}, Link: dataplane.OverlayLink},
				{Prefix: netip.MustParsePrefix("fd00:244::/122"), Kind: dataplane.Blackhole},
			}, false)
			if len(result.Failed) > 0 {
				t.Error(result.Failed)
			}
			return err
		}))
	})
	must(t, u.store(t).Update(func(s *store.State) error {
		block := netip.MustParsePrefix("10.244.0.0/26")
		s.SetLeases([]store.Lease{{CIDR: block, UID: "b1", Pool: "p"}})
		if len(s.HoldOverlay([]netip.Prefix{block}, nil, store.Stamp{})) == 0 {
			t.Error("the node has no address of its own")
		}
		return nil
	}))
}

func (u *used) store(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(storeDir(u.cfg))
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// look is all that the kernel holds of links, addresses, routes, rules, neighbours,
// packet filters and sysctls, by other eyes.
func (u *used) look(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, command := range []string{
		"ip -d link", "ip -d addr", "ip -d route show table all", "ip -d -6 route show table all", "ip -d rule", "ip -d -6 rule",
		"ip -d neigh", "ip -d nexthop", "bridge fdb", "nft list ruleset",
		"find /proc/sys/net -type f -readable -not -name flush -not -path '*stable_secret' -not -name nf_conntrack_count -exec grep -s '' {} + | sort",
	} {
		fmt.Fprintf(&all, "$ %s\n", command)
		for line := range strings.Lines(u.ns.Run(t, "sh", "-c", command)) {
			if !strings.Contains(line, "_lft ") { // counts down
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

func (u *used) cleanup(t *testing.T) (err error) {
	t.Helper()
	u.ns.Do(t, func() { err = cleanup(t.Context(), u.cfg, slog.New(slog.DiscardHandler)) })
	return err
}

func (u *used) files(t *testing.T) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(u.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

func TestCleanupLeavesNothing(t *testing.T) {
	u := newUsed(t)
	must(t, os.WriteFile(filepath.Join(u.cfg.StateDir, "snapshot.json.new"), []byte("half, with keys"), 0o600))
	if err := u.cleanup(t); err != nil {
		t.Fatal(err)
	}
	u.assertClean(t)
	if err := u.cleanup(t); err != nil { // twice is well
		t.Error(err)
	}
	u.assertClean(t)
}

// assertClean fails unless the node is as before, byte for byte.
func (u *used) assertClean(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(u.kernel, u.look(t)); diff != "" {
		t.Errorf("kernel before the agent and after cleanup (-before +after):\n%s", diff)
	}
	if files := u.files(t); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
	for _, dir := range []string{u.cfg.RunDir, u.cfg.StateDir} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left: %s, %v", dir, err)
		}
	}
}

// A cleanup that was killed between two of its steps is done by the next.
func TestCleanupAfterACrash(t *testing.T) {
	for done := 1; ; done++ {
		all := 0
		t.Run(fmt.Sprintf("after step %d", done), func(t *testing.T) {
			u := newUsed(t)
			u.ns.Do(t, func() {
				release, err := node.Own(u.cfg.RunDir)
				must(t, err)
				defer release()
				must(t, retire(storeDir(u.cfg)))
				memory, err := remember(u.cfg, "")
				must(t, err)
				first := steps(u.cfg, memory)
				all = len(first)
				for _, step := range first[:done] {
					must(t, step())
				}
			})
			if err := u.cleanup(t); err != nil {
				t.Error(err)
			}
			u.assertClean(t)
		})
		if done >= all {
			return
		}
	}
}

// So is one that was killed in the middle of any of them: as soon as one of the
// files is seen to be gone.
func TestCleanupKilled(t *testing.T) {
	killed := 0
	files := newUsed(t).files(t)
	for i := range files {
		u := newUsed(t)
		file := u.files(t)[i]
		cmd := exec.CommandContext(t.Context(), os.Args[0], "cleanup",
			"--node-name", "n1", "--run-dir", u.cfg.RunDir, "--state-dir", u.cfg.StateDir,
			"--cni-bin-dir", u.cfg.CNIBinDir, "--cni-conf-dir", u.cfg.CNIConfDir)
		cmd.Env = append(os.Environ(), beAgent+"=1")
		must(t, u.ns.Inside(cmd.Start))
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for waits := true; waits; {
			select {
			case err := <-ended:
				ended <- err
				waits = false
			default:
				_, gone := os.Stat(file)
				waits = gone == nil
			}
		}
		_ = cmd.Process.Kill()
		switch err := <-ended; {
		case err != nil && cmd.ProcessState.Exited():
			t.Errorf("before %s was gone: %v", file, err)
		case err != nil:
			killed++
		}
		if err := u.cleanup(t); err != nil {
			t.Error(err)
		}
		u.assertClean(t)
	}
	t.Logf("%d of %d were killed before their end", killed, len(files))
}

// beAgent makes the test's program the agent itself.
const beAgent = "FAIRLEAD_TEST_BE_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(beAgent) == "" {
		os.Exit(m.Run())
	}
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A refused cleanup changes nothing.
func TestCleanupIsRefused(t *testing.T) {
	pod := store.Request{Attachment: store.Attachment{ContainerID: "c", IfName: "eth0", HostVeth: "flabcdefghijklm"}}
	for _, tt := range []struct {
		name    string
		arrange func(*testing.T, *used)
		want    error
	}{
		{"an agent runs", func(t *testing.T, u *used) {
			release, err := node.Own(u.cfg.RunDir)
			must(t, err)
			t.Cleanup(release)
		}, node.ErrOwned},
		{"a pod runs", func(t *testing.T, u *used) {
			u.ns.Run(t, "ip", "link", "add", "flabcdefghijklm", "type", "veth", "peer", "name", "pod0")
		}, errInUse},
		{"a pod is being started", func(t *testing.T, u *used) {
			now, err := store.Now()
			must(t, err)
			pod.Now = now
			must(t, u.store(t).Update(func(s *store.State) error {
				_, err := s.Allocate(pod)
				return err
			}))
		}, errInUse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUsed(t)
			tt.arrange(t, u)
			state, err := os.ReadFile(filepath.Join(storeDir(u.cfg), "state.json"))
			must(t, err)
			kernel, files := u.look(t), u.files(t)
			if err := u.cleanup(t); !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
			after, err := os.ReadFile(filepath.Join(storeDir(u.cfg), "state.json"))
			must(t, err)
			if diff := cmp.Diff(kernel+string(state)+fmt.Sprint(files), u.look(t)+string(after)+fmt.Sprint(u.files(t))); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A leak is no pod: its link, or its namespace, went long ago.
func TestCleanupWithALeakedAddress(t *testing.T) {
	u := newUsed(t)
	now, err := store.Now()
	must(t, err)
	must(t, u.store(t).Update(func(s *store.State) error {
		_, err := s.Allocate(store.Request{
			Attachment: store.Attachment{ContainerID: "c", IfName: "eth0", HostVeth: "flgone"}, Now: store.Stamp{BootID: "another boot"},
		})
		s.Allocations = append(s.Allocations, store.Allocation{
			Address: s.Allocations[0].Address.Next(), Kind: store.KindIPAM, ContainerID: "c", IfName: "net1", Netns: filepath.Join(t.TempDir(), "gone"), NetnsInode: 1,
			BootID: now.BootID, At: now.At - time.Minute,
		})
		return err
	}))
	if err := u.cleanup(t); err != nil {
		t.Error(err)
	}
}
