package install_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"fairlead.dev/cniplugin"
	"fairlead.dev/cniplugin/install"
)

const wantConflist = `{
  "cniVersion": "1.0.0",
  "cniVersions": [
    "0.4.0",
    "1.0.0",
    "1.1.0"
  ],
  "name": "fairlead",
  "plugins": [
    {
      "type": "fairlead",
      "capabilities": {
        "ips": true,
        "mac": true
      },
      "runDir": "/run/fairlead"
    },
    {
      "type": "fairlead-portmap",
      "capabilities": {
        "portMappings": true
      },
      "backend": "nftables",
      "snat": true
    },
    {
      "type": "fairlead-bandwidth",
      "capabilities": {
        "bandwidth": true
      }
    }
  ]
}
`

// oldConflist is what version 0.1.0 wrote.
const oldConflist = `{
  "cniVersion": "1.0.0",
  "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
  "name": "fairlead",
  "plugins": [{"type": "fairlead", "runDir": "/run/fairlead"}]
}
`

func usual() install.Conf {
	return install.Conf{RunDir: "/run/fairlead", HostPorts: install.NFTables, Bandwidth: true}
}

// agent is one life of the agent, with what it logged.
type agent struct {
	*install.Keeper
	log *bytes.Buffer
}

func (h host) agent() agent {
	var log bytes.Buffer
	return agent{install.NewKeeper(h.confDir, usual(), slog.New(slog.NewTextHandler(&log, nil))), &log}
}

func (a agent) keep(t *testing.T, ready bool) install.Found {
	t.Helper()
	found, err := a.Keep(ready)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestConflistIsWrittenWhenReady(t *testing.T) {
	h := newHost(t)
	a := h.agent()
	for range 2 {
		if found := a.keep(t, false); found.Installed {
			t.Error("installed before the node is ready")
		}
	}
	if _, err := os.Stat(h.confDir); err == nil {
		t.Error("the folder was made before there is anything to put into it")
	}
	old := syscall.Umask(0o077)
	found := a.keep(t, true)
	syscall.Umask(old)
	if !found.Installed || found.Changed || found.Rivals != nil {
		t.Errorf("found %+v", found)
	}
	checkFile(t, h.conf(), wantConflist, 0o644)
	if diff := cmp.Diff([]string{"10-fairlead.conflist"}, names(t, h.confDir)); diff != "" {
		t.Errorf("left beside the configuration:\n%s", diff)
	}
}

// Neither the end of an agent nor the start of the next touches what is there.
func TestConflistOutlivesAgents(t *testing.T) {
	h := newHost(t)
	h.agent().keep(t, true)
	before := inode(t, h.conf())
	next := h.agent()
	if found := next.keep(t, false); !found.Installed {
		t.Errorf("an agent that is not ready found %+v", found)
	}
	next.keep(t, true)
	next.keep(t, false)
	if inode(t, h.conf()) != before {
		t.Error("it was as it must be, and was written again")
	}
	if next.log.Len() > 0 {
		t.Errorf("logged: %s", next.log)
	}
}

func TestOldConflistIsReplacedWhenReady(t *testing.T) {
	h := newHost(t)
	write(t, h.conf(), oldConflist)
	a := h.agent()
	if found := a.keep(t, false); !found.Installed || found.Changed {
		t.Errorf("found %+v", found)
	}
	if read(t, h.conf()) != oldConflist {
		t.Error("replaced before the node is ready")
	}
	a.keep(t, true)
	checkFile(t, h.conf(), wantConflist, 0o644)
}

// A node without a configuration is NotReady, and its pods are evicted.
func TestConflistIsWrittenAgain(t *testing.T) {
	for name, spoil := range map[string]func(host, *testing.T){
		"removed":          func(h host, _ *testing.T) { _ = os.Remove(h.conf()) },
		"emptied":          func(h host, t *testing.T) { write(t, h.conf(), "") },
		"cut short":        func(h host, t *testing.T) { write(t, h.conf(), wantConflist[:100]) },
		"no configuration": func(h host, t *testing.T) { write(t, h.conf(), "{}") },
		"removed with all": func(h host, _ *testing.T) { _ = os.RemoveAll(h.confDir) },
		"without any plugin": func(h host, t *testing.T) {
			write(t, h.conf(), `{"cniVersion":"1.0.0","name":"fairlead","plugins":[]}`)
		},
		"with a broken plugin": func(h host, t *testing.T) {
			write(t, h.conf(), `{"cniVersion":"1.0.0","name":"fairlead","plugins":[7]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				a := h.agent()
				a.keep(t, true)
				spoil(h, t)
				if found := a.keep(t, false); !found.Installed {
					t.Errorf("found %+v", found)
				}
				if got := read(t, h.conf()); got != wantConflist {
					t.Errorf("configuration is %s", got)
				}
				// Whoever takes it away each time is not fought.
				for range 3 {
					spoil(h, t)
					if found := a.keep(t, true); found.Installed || !found.Removed {
						t.Errorf("written again at once: %+v", found)
					}
				}
				time.Sleep(time.Minute)
				if found := a.keep(t, true); !found.Installed || found.Removed {
					t.Errorf("not written again a minute later: %+v", found)
				}
			})
		})
	}
}

func TestChangesByHandStayUntilTheNextAgent(t *testing.T) {
	h := newHost(t)
	a := h.agent()
	a.keep(t, true)
	edited := strings.Replace(wantConflist, `"runDir"`, `"mtu": 1400, "runDir"`, 1)
	write(t, h.conf(), edited)
	for range 3 {
		if found := a.keep(t, true); !found.Installed || !found.Changed {
			t.Errorf("found %+v", found)
		}
	}
	if read(t, h.conf()) != edited {
		t.Error("undone while the agent runs")
	}
	if n := strings.Count(a.log.String(), "changed by hand"); n != 1 {
		t.Errorf("said %d times", n)
	}
	h.agent().keep(t, true)
	checkFile(t, h.conf(), wantConflist, 0o644)
}

// What others append stays, through upgrades too, and is no change.
func TestPluginsOfOthersStay(t *testing.T) {
	const mesh = `{"type": "istio-cni", "kubernetes": {"cni_bin_dir": "/opt/cni/bin"}}`
	appended := strings.Replace(wantConflist, "\n  ]\n}", ",\n"+mesh+"]}", 1)
	h := newHost(t)
	a := h.agent()
	a.keep(t, true)
	write(t, h.conf(), appended)
	if found := a.keep(t, true); found.Changed {
		t.Error("taken for a change")
	}
	h.agent().keep(t, true)
	if read(t, h.conf()) != appended {
		t.Error("written again although only another's plugin was added")
	}

	write(t, h.conf(), strings.Replace(oldConflist, `}]`, `},`+mesh+`]`, 1))
	h.agent().keep(t, true)
	list, err := libcni.NetworkConfFromFile(h.conf())
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, p := range list.Plugins {
		types = append(types, p.Network.Type)
	}
	if diff := cmp.Diff([]string{"fairlead", "fairlead-portmap", "fairlead-bandwidth", "istio-cni"}, types); diff != "" {
		t.Errorf("plugins after an upgrade (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(list.Plugins[3].Bytes), `"cni_bin_dir":"/opt/cni/bin"`) {
		t.Errorf("another's plugin became %s", list.Plugins[3].Bytes)
	}
}

func TestFailureToWriteIsSaid(t *testing.T) {
	h := newHost(t)
	write(t, h.confDir, "a file in the folder's place")
	if _, err := h.agent().Keep(true); err == nil || !strings.Contains(err.Error(), h.conf()) {
		t.Errorf("error does not name the file: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		conf    install.Conf
		plugins []string // of each a fragment
	}{
		"nothing chained": {install.Conf{RunDir: "/run/other", MTU: 9000}, []string{`"mtu":9000,"runDir":"/run/other"`}},
		"iptables":        {install.Conf{RunDir: "/r", HostPorts: install.IPTables}, []string{`"runDir":"/r"`, `"backend":"iptables"`}},
		"bandwidth alone": {install.Conf{RunDir: "/r", Bandwidth: true}, []string{`"runDir":"/r"`, `{"bandwidth":true}`}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := tt.conf.Conflist()
			if err != nil {
				t.Fatal(err)
			}
			list, err := libcni.NetworkConfFromBytes(text)
			if err != nil {
				t.Fatal(err)
			}
			if list.Name != "fairlead" || list.CNIVersion != "1.1.0" || len(list.Plugins) != len(tt.plugins) || list.Plugins[0].Network.Type != cniplugin.Type {
				t.Fatalf("libcni read %+v", list)
			}
			for i, want := range tt.plugins {
				if got := string(list.Plugins[i].Bytes); !strings.Contains(got, want) {
					t.Errorf("plugin %d is %s, want %s", i, got, want)
				}
			}
		})
	}
}

func TestRivals(t *testing.T) {
	const (
		other  = `{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "bridge"}]}`
		multus = `{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus-shim", "clusterNetwork": "/host/etc/cni/net.d/10-fairlead.conflist"}`
		inside = `{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus", "delegates": [` + oldConflist + `]}`
	)
	for name, tt := range map[string]struct {
		files map[string]string
		want  map[string]string // why it is broken, "" if not
	}{
		"none":              {nil, nil},
		"after ours":        {map[string]string{"10-flannel.conflist": other, "99-loopback.conf": "broken"}, nil},
		"a list":            {map[string]string{"05-cilium.conflist": other}, map[string]string{"05-cilium.conflist": ""}},
		"a plugin alone":    {map[string]string{"10-a.conf": `{"name": "a", "type": "bridge"}`}, map[string]string{"10-a.conf": ""}},
		"as JSON":           {map[string]string{"00-a.json": `{"name": "a", "type": "bridge"}`}, map[string]string{"00-a.json": ""}},
		"two":               {map[string]string{"01-a.conflist": other, "10-calico.conflist": other}, map[string]string{"01-a.conflist": "", "10-calico.conflist": ""}},
		"empty":             {map[string]string{"10-a.conflist": ""}, map[string]string{"10-a.conflist": "unexpected end"}},
		"a list in .conf":   {map[string]string{"10-a.conf": other}, map[string]string{"10-a.conf": "missing 'type'"}},
		"no configuration":  {map[string]string{"00-readme": "x", "05-cilium.conflist.cilium_bak": other, ".00-a.conflist.tmp": other}, nil},
		"Multus before us":  {map[string]string{"00-multus.conf": multus}, nil},
		"Multus with us in": {map[string]string{"00-multus.conf": inside}, nil},
		"Multus of another": {
			map[string]string{"00-multus.conf": strings.ReplaceAll(multus, "fairlead", "flannel")}, map[string]string{"00-multus.conf": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			for file, text := range tt.files {
				write(t, filepath.Join(h.confDir, file), text)
			}
			a := h.agent()
			var found install.Found
			for range 3 {
				found = a.keep(t, true)
			}
			got := map[string]string{}
			for _, r := range found.Rivals {
				got[r.Name] = ""
				if r.Broken != nil {
					got[r.Name] = r.Broken.Error()
				}
				if n := strings.Count(a.log.String(), filepath.Join(h.confDir, r.Name)); n != 1 {
					t.Errorf("%s was said %d times: %s", r.Name, n, a.log)
				}
				if !install.Matters(r.Name) {
					t.Errorf("a change of %s would not be noticed", r.Name)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("rivals %v, want %v", got, tt.want)
			}
			for file, why := range tt.want {
				if said, ok := got[file]; !ok || !strings.Contains(said, why) || (why == "") != (said == "") {
					t.Errorf("%s: %q, want %q", file, said, why)
				}
			}
			for file, text := range tt.files {
				if read(t, filepath.Join(h.confDir, file)) != text {
					t.Errorf("%s was changed", file)
				}
			}
			// Runtimes agree with us on who is the first.
			paths, err := libcni.ConfFiles(h.confDir, []string{".conf", ".conflist", ".json"})
			if err != nil {
				t.Fatal(err)
			}
			if first := filepath.Base(paths[0]); (first == install.ConfName || strings.HasPrefix(name, "Multus") && len(tt.want) == 0) != (len(got) == 0) {
				t.Errorf("a runtime takes %s, rivals are %v", first, got)
			}
		})
	}
}

// A link that leads out of a container cannot be read there, but is a runtime's.
func TestRivalThatIsALink(t *testing.T) {
	h := newHost(t)
	write(t, filepath.Join(h.confDir, "99-x.conf"), "x")
	if err := os.Symlink("/nonexistent/cni.conflist", filepath.Join(h.confDir, "05-linked.conflist")); err != nil {
		t.Fatal(err)
	}
	if found := h.agent().keep(t, true); len(found.Rivals) != 1 || found.Rivals[0] != (install.Rival{Name: "05-linked.conflist"}) {
		t.Errorf("found %+v", found)
	}
}

func TestMatters(t *testing.T) {
	for name, want := range map[string]bool{
		"10-fairlead.conflist": true, "00-a.conf": true, "05-a.json": true,
		"99-a.conf": false, ".10-fairlead.conflist.new-1": false, "00-a.txt": false,
	} {
		if got := install.Matters(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// When files of others came and went is told, and survives the agent. Ours is no
// such, where it came alone.
func TestTouched(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	keep := func(t *testing.T, dir string) *install.Keeper {
		t.Helper()
		return install.NewKeeper(dir, install.Conf{RunDir: "/run/fairlead"}, slog.New(slog.DiscardHandler))
	}
	since := func(t *testing.T, k *install.Keeper) time.Duration {
		t.Helper()
		f, err := k.Keep(true)
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(f.Touched)
	}
	age := func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Chtimes(dir, ago(time.Hour), ago(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	other := func(t *testing.T, dir string) string {
		t.Helper()
		path := filepath.Join(dir, "05-other.conflist")
		if err := os.WriteFile(path, []byte(`{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"bridge"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("alone", func(t *testing.T) {
		dir := t.TempDir()
		age(t, dir)
		k := keep(t, dir)
		for range 2 {
			if d := since(t, k); d < time.Hour-time.Minute {
				t.Errorf("touched %s ago, by nobody but us", d)
			}
		}
		path := other(t, dir)
		if d := since(t, k); d > time.Minute {
			t.Errorf("another came, and it was touched %s ago", d)
		}
		age(t, dir)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if d := since(t, k); d > time.Minute {
			t.Errorf("another went, and it was touched %s ago", d)
		}
	})
	t.Run("beside another", func(t *testing.T) {
		dir := t.TempDir()
		other(t, dir)
		age(t, dir)
		if d := since(t, keep(t, dir)); d > time.Minute {
			t.Errorf("ours came before another's, and it was touched %s ago", d)
		}
		age(t, dir)
		if d := since(t, keep(t, dir)); d < time.Hour-time.Minute {
			t.Errorf("an agent that starts finds it touched %s ago", d)
		}
	})
}
