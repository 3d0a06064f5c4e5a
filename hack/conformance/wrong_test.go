package conformance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"fairlead.dev/hack/conformance"
	"fairlead.dev/hack/lab/labtest"
)

// wrong is a plugin that does something wrong: a script around ours.
type wrong struct {
	name string
	// script runs with our plugin as the function real, and the configuration, which
	// that gets, in $conf.
	script string
	// red are the obligations that it does not meet.
	red []string
	// green is one that it meets, so that it is no plugin that does nothing right.
	green string
}

const preamble = `#!/bin/sh
conf=$(cat; echo .)
conf=${conf%.}
real() { printf %s "$conf" | REAL; }
edit() { conf=$(printf %s "$conf" | sed "$1"); }
pod() { nsenter --net="$CNI_NETNS" "$@"; }
`

func wrongs() []wrong {
	return slices.Concat(wrongProtocol(), wrongAdd(), wrongDel(), wrongCheck(), wrongGC(), wrongStatus())
}

func wrongProtocol() []wrong {
	return []wrong{
		{name: "exits with 0 always", script: `real; exit 0`, green: "add-interface", red: []string{
			"exit-status", "command-unknown", "add-required", "del-required", "check-required", "gc-required",
			"env-container-id", "env-interface-name", "config-decode", "config-no-name", "config-bad-name", "config-version", "config-previous",
			"add-existing-interface", "add-node-namespace", "add-no-namespace", "add-twice", "add-twice-elsewhere", "add-undo-output",
			"check-before-0.4.0", "gc-before-1.1.0", "status-before-1.1.0",
		}},
		{
			name: "prints errors on standard error only", green: "add-interface",
			script: `out=$(real) && [ "$CNI_COMMAND" ] && printf %s "$out" || { printf %s "$out" >&2; exit 1; }`,
			red:    []string{"error-object", "error-code-reserved", "error-version", "command-unknown", "add-required", "add-full", "status-no-state"},
		},
		{
			name: "prints its own version", green: "add-interface", script: `real | sed 's/"cniVersion": *"[^"]*"/"cniVersion":"1.0.0"/'`,
			red: []string{"result-version", "error-version", "version-echo"},
		},
		{
			name: "has codes of its own below 100", green: "add-interface", script: `out=$(real); s=$?; printf %s "$out" | sed 's/"code": *[0-9]*/"code":8/'; exit $s`,
			red: []string{
				"error-code-reserved", "command-unknown", "env-container-id", "env-interface-name", "add-required",
				"config-decode", "config-no-name", "config-bad-name", "config-version", "config-previous",
				"add-full", "add-no-state", "status-no-state", "status-config",
			},
		},
		{
			name: "does not name what is missing", green: "add-interface", script: `out=$(real); s=$?; printf %s "$out" | sed 's/CNI_/THE_/g'; exit $s`,
			red: []string{"add-required", "del-required", "check-required", "gc-required"},
		},
		{
			name: "talks on standard output", green: "command-unknown", script: `out=$(real); s=$?; [ $s -ne 0 ] || echo wiring; printf %s "$out"; exit $s`,
			red: []string{"stdout-empty", "version-lists", "libcni-round-trip", "libcni-validate"},
		},
		{
			name: "prints two results", green: "version-lists", script: `real; s=$?; [ "$CNI_COMMAND" != ADD ] || echo '{}'; exit $s`,
			red: []string{"stdout-result"},
		},
		{name: "leaves a process", green: "add-interface", script: `sleep 5 </dev/null >/dev/null 2>&1 & real`, red: []string{"process-left"}},
		{name: "wants CNI_ARGS", green: "add-interface", script: `[ "$CNI_ARGS" ] || [ "$CNI_COMMAND" = VERSION ] || exit 1; real`, red: []string{"env-no-args"}},
		{name: "wants CNI_PATH", green: "add-interface", script: `[ "$CNI_PATH" ] || exit 1; real`, red: []string{"env-no-path", "status-no-path", "version-environment"}},
		{name: "mends container IDs", green: "add-interface", script: `export CNI_CONTAINERID=x$(printf %s "$CNI_CONTAINERID" | tr -cd 'a-z0-9'); real`, red: []string{"env-container-id"}},
		{name: "mends interface names", green: "add-interface", script: `export CNI_IFNAME=$(printf %s "x$CNI_IFNAME" | tr -cd 'a-z0-9-' | tail -c 15); case $CNI_IFNAME in *fifteen*) CNI_IFNAME=fifteen-bytes-x;; esac; real`, red: []string{"env-interface-name"}},
		{name: "cuts container IDs", green: "add-interface", script: `[ -z "$CNI_CONTAINERID" ] || export CNI_CONTAINERID=$(printf %s "$CNI_CONTAINERID" | cut -c -63)
case $CNI_COMMAND in DEL) case $CNI_CONTAINERID in fff*) exit 0;; esac;; esac; real`, red: []string{"container-id-kept"}},
		{name: "chokes on keys", green: "add-interface", script: `case $CNI_ARGS$conf in *OF_THE_FUTURE*|*of-the-future*) exit 1;; esac; real`, red: []string{"args-unknown", "args-strict", "config-runtime-keys"}},
		{
			name: "has no versions", green: "add-interface", script: `[ "$CNI_COMMAND" != VERSION ] || { echo '{"cniVersion":"1.1.0"}'; exit 0; }; real`,
			red: []string{"version-lists", "version-unknown", "libcni-validate"},
		},
		{name: "answers VERSION to its own only", green: "version-lists", script: `case $conf in *99.0.0*) exit 1;; esac; real`, red: []string{"version-unknown"}},
	}
}

func wrongAdd() []wrong {
	return []wrong{
		{name: "chooses the name itself", green: "add-again", script: `export CNI_IFNAME=eth0; real`, red: []string{"add-interface"}},
		{name: "leaves the interface down", green: "version-lists", script: `real; s=$?; [ "$CNI_COMMAND" != ADD ] || pod ip link set "$CNI_IFNAME" down; exit $s`, red: []string{"add-interface", "add-containers-ping"}},
		{
			name: "forgets IPv6", green: "add-interface", script: `real; s=$?; [ "$CNI_COMMAND" != ADD ] || pod ip -6 route flush default; exit $s`,
			red: []string{"add-families", "result-gateway", "result-routes", "add-containers-ping", "check-after-add"},
		},
		{
			name: "forgets the node's routes", green: "add-interface", script: `real; s=$?; [ "$CNI_COMMAND" != ADD ] || { ip route flush proto 171; ip -6 route flush proto 171; }; exit $s`,
			red: []string{"add-node-pings", "add-first-packet", "parallel-ping", "check-after-add"},
		},
		{name: "drops prevResult", green: "add-interface", script: `[ "$CNI_COMMAND" != ADD ] || edit 's/"prevResult"/"args"/'; real`, red: []string{"add-prev-result", "config-previous"}},
		{name: "breaks the first interface", green: "add-interface", script: `[ "$CNI_COMMAND$CNI_IFNAME" != ADDnet1 ] || pod ip link del eth0; real`, red: []string{"add-second-interface"}},
		{name: "lists no sandbox", green: "version-lists", script: `real | sed 's/"sandbox": *"[^"]*"/"sandbox":""/g'`, red: []string{"result-sandbox", "result-host-interfaces", "add-interface"}},
		{
			name: "lists wrong numbers", green: "version-lists", script: `real | sed 's/"mac": *"[^"]*"/"mac":"02:00:00:00:00:00"/g; s/"mtu": *[0-9]*/"mtu":1/g; s/"interface": *1/"interface":0/g; s/"version": *"6"/"version":"4"/'`,
			red: []string{"result-mac", "result-mtu", "result-ip-interface", "result-ip-family"},
		},
		{name: "lists what is no address", green: "version-lists", script: `real | sed 's/"address": *"[^"]*"/"address":"here"/g'`, red: []string{"libcni-result", "libcni-round-trip", "stdout-result"}},
		{name: "lists a wrong gateway", green: "add-interface", script: `real | sed 's/"gateway": *"[^"]*"/"gateway":"192.0.2.7"/g; s/"gw": *"[^"]*"/"gw":"192.0.2.7"/g'`, red: []string{"result-gateway", "result-routes"}},
		{
			name: "does not mind an interface that is there", green: "add-interface", script: `[ "$CNI_COMMAND" != ADD ] || pod ip link del "$CNI_IFNAME" 2>/dev/null; real`,
			red: []string{"add-existing-interface", "add-existing-untouched", "add-twice"},
		},
		{
			name: "leaves a link after a failed ADD", green: "add-interface", script: `real; s=$?; [ "$CNI_COMMAND$s" != ADD1 ] || ip link add "left$$" type bridge; exit $s`,
			red: []string{"add-required", "add-existing-untouched", "add-node-namespace", "add-no-namespace", "add-undo-routed", "add-undo-output", "add-twice", "add-twice-elsewhere", "add-full", "add-no-state", "config-previous"},
		},
		{name: "does not see that nobody hears it", green: "add-interface", script: `out=$(real); s=$?; printf %s "$out" || exit 1; exit $s`, red: []string{"add-undo-output", "add-undo-addresses"}},
		{name: "gives one address to all", green: "version-lists", script: `real | sed 's/10\.77\.1\.[0-9]*/10.77.1.0/g'`, red: []string{"parallel-distinct", "parallel-delete"}},
		{name: "has a lock that survives its holder", green: "version-lists", script: `[ "$CNI_CONTAINERID" ] || { real; exit; }
mkdir "$0.lock" || exit 1; real; s=$?; rmdir "$0.lock"; exit $s`, red: []string{"killed-lock", "killed-add"}},
	}
}

func wrongDel() []wrong {
	return []wrong{
		{name: "deletes and collects nothing", green: "add-interface", script: `case $CNI_COMMAND in DEL|GC) exit 0;; esac; real`, red: []string{
			"add-again", "parallel-delete", "killed-add", "del-removes", "del-frees", "del-no-prev-result", "del-namespace-gone", "del-namespace-empty",
			"del-namespace-unset", "del-interface-gone", "del-after-failed-add", "del-no-state", "del-no-namespace-no-trace", "del-required",
			"gc-frees", "gc-node", "gc-all", "gc-interface", "gc-goes-on", "gc-before-1.1.0", "gc-required", "libcni-round-trip", "libcni-gc",
		}},
		{
			name: "wants the interface to be there", green: "del-removes", script: `[ "$CNI_COMMAND" != DEL ] || pod ip link show "$CNI_IFNAME" >/dev/null || exit 1; real`,
			red: []string{"del-namespace-gone", "del-namespace-empty", "del-namespace-unset", "del-interface-gone", "del-after-failed-add", "del-twice", "del-unknown"},
		},
		{name: "wants the result of ADD", green: "add-interface", script: `case $CNI_COMMAND$conf in DEL*prevResult*) ;; DEL*) exit 1;; esac; real`, red: []string{"del-no-prev-result", "del-no-namespace-no-trace", "del-after-failed-add"}},
		{
			name: "wants its state", green: "del-frees", script: `dir=$(printf %s "$conf" | sed 's/.*"runDir":"\([^"]*\)".*/\1/'); case $CNI_COMMAND in DEL|GC) [ -d "$dir" ] || exit 1;; esac; real`,
			red: []string{"del-no-state", "gc-no-state"},
		},
		{
			name: "deletes all containers", green: "del-frees", script: `[ "$CNI_COMMAND" != DEL ] || for l in $(ip -br link | grep -o '^fl[a-z0-9]*'); do ip link del "$l"; done; real`,
			red: []string{"del-twice", "del-unknown", "del-other-containers", "del-foreign-result", "del-foreign-namespace"},
		},
		{name: "deletes by address", green: "del-frees", script: `[ "$CNI_COMMAND" != DEL ] || for a in $(printf %s "$conf" | grep -o '10\.77\.1\.[0-9]*/32'); do
	for l in $(ip route show "$a" | grep -o 'fl[a-z0-9]*'); do ip link del "$l"; done
done; real`, red: []string{"del-foreign-result"}},
		{name: "deletes by namespace and name", green: "del-frees", script: `[ "$CNI_COMMAND" != DEL ] || pod ip link del "$CNI_IFNAME"; real`, red: []string{"del-node-namespace", "del-foreign-namespace"}},
	}
}

func wrongCheck() []wrong {
	return []wrong{
		{name: "finds all well", green: "check-after-add", script: `[ "$CNI_COMMAND" != CHECK ] || exit 0; real`, red: []string{
			"check-required", "check-before-0.4.0", "check-no-prev-result", "check-address", "check-interface", "check-node-interface-down", "check-interface-down",
			"check-route", "check-route-6", "check-node-route", "check-node-route-6", "check-node-route-elsewhere", "check-neighbour", "check-node-neighbour", "check-forwarding",
			"check-reservation", "check-namespace",
		}},
		{name: "wants all as it left it", green: "check-after-add", script: `real; s=$?
see() { pod ip link show "$CNI_IFNAME" | grep -o 'mtu [0-9]*\|ether [0-9a-f:]*'; pod ip -o addr; pod ip route; pod ip -6 route; }
case $CNI_COMMAND$s in ADD0) see >"$0.$CNI_CONTAINERID";; CHECK0) see | cmp -s - "$0.$CNI_CONTAINERID" || exit 1;; esac; exit $s`, red: []string{
			"check-chain-mac", "check-chain-mtu", "check-chain-address", "check-chain-unlisted", "check-chain-interface", "check-chain-route",
		}},
		{name: "leaves a trace of CHECK", green: "add-interface", script: `[ "$CNI_COMMAND" != CHECK ] || ip link add trace type bridge; real`, red: []string{"check-after-add"}},
		{name: "fails CHECK", green: "add-interface", script: `[ "$CNI_COMMAND" != CHECK ] || exit 1; real`, red: []string{"check-after-add", "libcni-round-trip", "gc-keeps"}},
	}
}

func wrongGC() []wrong {
	const list = `"cni.dev\/valid-attachments":`
	return []wrong{
		{
			name: "collects all", green: "gc-all", script: `[ "$CNI_COMMAND" != GC ] || edit 's/` + list + `\[[^]]*\]/` + list + `[]/'; real`,
			red: []string{"gc-keeps", "gc-unknown", "libcni-gc"},
		},
		{name: "takes no list for an empty one", green: "gc-frees", script: `case $CNI_COMMAND$conf in GC*valid-attachments*) ;; GC*) edit 's/^{/{` + list + `[],/';; esac; real`, red: []string{"gc-no-list"}},
		{name: "collects other networks", green: "gc-frees", script: `real; s=$?; [ "$CNI_COMMAND" = GC ] || exit $s
edit 's/` + list + `\[[^]]*\]/` + list + `[]/; s/"name":"[^"]*"/"name":"other-network"/'; real`, red: []string{"gc-other-network"}},
		{name: "takes a container for an attachment", green: "gc-frees", script: `[ "$CNI_COMMAND" != GC ] || edit 's/"net1"/"eth0"/'; real`, red: []string{"gc-interface"}},
		{name: "fails GC", green: "add-interface", script: `[ "$CNI_COMMAND" != GC ] || exit 1; real`, red: []string{"gc-unknown", "gc-no-state", "gc-other-network"}},
		{name: "stays silent about errors of GC", green: "gc-frees", script: `real; s=$?; [ "$CNI_COMMAND" != GC ] || exit 0; exit $s`, red: []string{"gc-goes-on", "gc-before-1.1.0", "gc-required"}},
	}
}

func wrongStatus() []wrong {
	return []wrong{
		{name: "is always ready", green: "status-ready", script: `[ "$CNI_COMMAND" != STATUS ] || exit 0; real`, red: []string{"status-no-state", "status-exhausted", "status-config", "status-before-1.1.0"}},
		{name: "is never ready", green: "add-interface", script: `[ "$CNI_COMMAND" != STATUS ] || exit 1; real`, red: []string{"status-ready", "status-no-path", "status-no-uplink", "libcni-status"}},
	}
}

// write makes the plugin in a folder of its own.
func (w wrong) write(t *testing.T) conformance.Plugin {
	t.Helper()
	dir := t.TempDir()
	script := strings.Replace(preamble, "REAL", "'"+filepath.Join(bin, "fairlead")+"'", 1) + w.script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "fairlead"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := conformance.Fairlead(dir)
	p.Departs = nil // no excuse
	return p
}

// The suite can fail: each obligation by a plugin that does not meet it.
func TestWrongPlugins(t *testing.T) {
	labtest.Root(t)
	left := map[string]conformance.Obligation{}
	all := map[string]conformance.Obligation{}
	for _, o := range conformance.Obligations() {
		left[o.ID], all[o.ID] = o, o
	}
	// All are written before one is executed: a file that is open for writing, in
	// whatever process was forked meanwhile, cannot be.
	plugins := map[string]conformance.Plugin{}
	for _, w := range wrongs() {
		plugins[w.name] = w.write(t)
	}
	for _, w := range wrongs() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			for _, id := range append([]string{w.green}, w.red...) {
				o, known := all[id]
				if !known {
					t.Fatalf("there is no obligation %s", id)
				}
				want := conformance.Failed
				if id == w.green {
					want = conformance.Met
				}
				// At once: the packets of most of them are waited for in vain.
				wg.Go(func() {
					out, err := o.Try(plugins[w.name], newest(o), t.TempDir())
					if err != nil {
						t.Error(err)
					} else if out.Verdict != want {
						t.Errorf("%s: verdict %d, want %d: %s", id, out.Verdict, want, out)
					}
				})
			}
			wg.Wait()
		})
		for _, id := range w.red {
			delete(left, id)
		}
	}
	for id := range left {
		t.Errorf("no wrong plugin fails %s", id)
	}
}

// newest is the last version that an obligation is of.
func newest(o conformance.Obligation) string {
	versions := slices.DeleteFunc(conformance.Versions(), func(v string) bool { return !o.Applies(v) })
	return versions[len(versions)-1]
}
