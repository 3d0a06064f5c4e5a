package speaker_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead.dev/dataplane/nstest"
)

// Limits for what is a matter of seconds, on a machine that others use as well.
const (
	soon  = 20 * time.Second
	later = 40 * time.Second
)

// wire is a link between two namespaces, with addresses of both families.
type wire struct {
	node, peer     nstest.NS
	node4, peer4   netip.Addr
	node6, peer6   netip.Addr
	nodeIf, peerIf string
}

// newWire links node with a new namespace. n makes the addresses unique:
// 10.n.0.1 and fd00:n::1 are the node's, .2 the peer's.
func newWire(t *testing.T, node nstest.NS, n int) wire {
	t.Helper()
	peer := nstest.New(t, "peer"+strconv.Itoa(n))
	return joinWire(t, node, peer, n)
}

func joinWire(t *testing.T, node, peer nstest.NS, n int) wire {
	t.Helper()
	w := wire{
		node: node, peer: peer,
		node4: addr("10.%d.0.1", n), peer4: addr("10.%d.0.2", n),
		node6: addr("fd00:%d::1", n), peer6: addr("fd00:%d::2", n),
		nodeIf: fmt.Sprintf("e%d", n), peerIf: "e0",
	}
	run(t, "ip", "link", "add", w.nodeIf, "netns", node.Name, "type", "veth", "peer", "name", w.peerIf, "netns", peer.Name)
	for _, end := range []struct {
		ns, dev string
		a4, a6  netip.Addr
	}{{node.Name, w.nodeIf, w.node4, w.node6}, {peer.Name, w.peerIf, w.peer4, w.peer6}} {
		run(t, "ip", "-n", end.ns, "address", "add", end.a4.String()+"/24", "dev", end.dev)
		run(t, "ip", "-n", end.ns, "address", "add", end.a6.String()+"/64", "dev", end.dev, "nodad")
		run(t, "ip", "-n", end.ns, "link", "set", end.dev, "up")
	}
	return w
}

func addr(format string, args ...any) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, args...))
}

// router is a real BGP router beside us.
type router interface {
	// stop is kill -9 of its BGP process.
	stop()
	// show is what it says about a prefix, empty if it has none.
	show(prefix string) string
	// session is what it says about the session with us, by our address.
	session(neighbour netip.Addr) string
}

// daemon is a process that ends with the test.
func daemon(t *testing.T, ns nstest.NS, name string, args ...string) func() {
	t.Helper()
	return watch(t, ns, &buffer{}, name, args...)
}

// watch is a daemon whose output goes to log.
func watch(t *testing.T, ns nstest.NS, log *buffer, name string, args ...string) func() {
	t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=" + ns.Path(), name}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		// FRR removes its folder only when it ends by itself.
		_ = os.RemoveAll(fmt.Sprintf("/var/tmp/frr/%s.%d", filepath.Base(name), cmd.Process.Pid))
		if t.Failed() {
			t.Logf("%s says:\n%s", filepath.Base(name), log)
		}
	})
	t.Cleanup(stop)
	return stop
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// scratch is a folder with a short name, for sockets, that user may write to.
func scratch(t *testing.T, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	u, err := user.Lookup(owner)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return dir
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", program)
	}
	t.Skipf("needs %s", program)
}

// frr is zebra and bgpd.
type frr struct {
	t       *testing.T
	ns      nstest.NS
	dir     string
	stopBGP func()
}

const frrDir = "/usr/lib/frr/"

func startFRR(t *testing.T, ns nstest.NS, config string) *frr {
	t.Helper()
	need(t, frrDir+"bgpd")
	f := &frr{t: t, ns: ns, dir: scratch(t, "frr")}
	write(t, f.dir+"/zebra.conf", "")
	write(t, f.dir+"/bgpd.conf", config)
	daemon(t, ns, frrDir+"zebra", append(f.args(), "-f", f.dir+"/zebra.conf", "-i", f.dir+"/zebra.pid")...)
	f.exists("zserv.api")
	f.start()
	return f
}

func (f *frr) args() []string {
	return []string{"-u", "frr", "-g", "frr", "--vty_socket", f.dir, "-z", f.dir + "/zserv.api"}
}

// start runs bgpd, also again.
func (f *frr) start() {
	f.t.Helper()
	_ = os.Remove(f.dir + "/bgpd.vty")
	f.stopBGP = daemon(f.t, f.ns, frrDir+"bgpd", append(f.args(), "-f", f.dir+"/bgpd.conf", "-i", f.dir+"/bgpd.pid")...)
	f.exists("bgpd.vty")
}

func (f *frr) exists(name string) {
	f.t.Helper()
	eventually(f.t, soon, name+" exists", func() (bool, string) {
		_, err := os.Stat(filepath.Join(f.dir, name))
		return err == nil, fmt.Sprint(err)
	})
}

func (f *frr) stop() { f.stopBGP() }

func (f *frr) vtysh(commands ...string) string {
	f.t.Helper()
	args := []string{"--vty_socket", f.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return run(f.t, "vtysh", args...)
}

func (f *frr) show(prefix string) string {
	f.t.Helper()
	family := "ipv4"
	if strings.Contains(prefix, ":") {
		family = "ipv6"
	}
	out := f.vtysh("show bgp " + family + " unicast " + prefix)
	if strings.Contains(out, "not in table") {
		return ""
	}
	return out
}

func (f *frr) session(neighbour netip.Addr) string {
	f.t.Helper()
	return f.vtysh("show bgp neighbors " + neighbour.String())
}

// bird is BIRD 2.
type bird struct {
	t       *testing.T
	ns      nstest.NS
	dir     string
	stopBGP func()
}

func startBIRD(t *testing.T, ns nstest.NS, config string) *bird {
	t.Helper()
	need(t, "bird")
	b := &bird{t: t, ns: ns, dir: scratch(t, "root")}
	write(t, b.dir+"/bird.conf", config)
	b.start()
	return b
}

func (b *bird) start() {
	b.t.Helper()
	_ = os.Remove(b.dir + "/bird.ctl")
	b.stopBGP = daemon(b.t, b.ns, "bird", "-f", "-c", b.dir+"/bird.conf", "-s", b.dir+"/bird.ctl")
	eventually(b.t, soon, "BIRD answers", func() (bool, string) {
		out, err := exec.Command("birdc", "-s", b.dir+"/bird.ctl", "show status").CombinedOutput()
		return err == nil, string(out)
	})
}

func (b *bird) stop() { b.stopBGP() }

func (b *bird) birdc(command string) string {
	b.t.Helper()
	out, _ := exec.Command("birdc", "-s", b.dir+"/bird.ctl", command).CombinedOutput()
	return string(out)
}

func (b *bird) show(prefix string) string {
	b.t.Helper()
	out := b.birdc("show route all " + prefix)
	if strings.Contains(out, "Network not found") {
		return ""
	}
	return out
}

func (b *bird) session(netip.Addr) string {
	b.t.Helper()
	return b.birdc("show protocols all")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
