package routes

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead.dev/dataplane"
	"fairlead.dev/hack/lab/labtest"
)

func TestGenerate(t *testing.T) {
	routes := generate(100_000)
	good, failed := dataplane.Sift(routes)
	if len(good) != 100_000 || len(failed) != 0 {
		t.Errorf("%d good and %d bad routes", len(good), len(failed))
	}
	for i, want := range map[int]string{0: "10.0.0.0/26", 3: "10.0.0.192/26", 4: "10.0.1.0/26", 99_999: "10.97.167.192/26"} {
		if routes[i].Prefix != netip.MustParsePrefix(want) {
			t.Errorf("route %d is to %s, want %s", i, routes[i].Prefix, want)
		}
	}
}

// Both ways make the very same routes, and each says so if it did not.
func TestBothWaysAreAlike(t *testing.T) {
	labtest.Root(t)
	k, err := newKernel(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	routes := generate(100)
	if err := k.writeBatch("add", routes); err != nil {
		t.Fatal(err)
	}
	if took, err := k.batch(t.Context(), len(routes)); err != nil || took <= 0 {
		t.Fatalf("ip -batch took %v, %v", took, err)
	}
	have, err := k.table.List()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(routes, have, dataplane.Route.Equal) {
		t.Errorf("iproute2 made %v", have)
	}
	if _, err := k.show(t.Context(), len(routes)); err != nil {
		t.Error(err)
	}
	if _, err := k.show(t.Context(), 99); err == nil || !strings.Contains(err.Error(), "100 of 99") {
		t.Errorf("one route too many: %v", err)
	}
	if err := k.clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.show(t.Context(), 0); err != nil {
		t.Errorf("after clean: %v", err)
	}
	if took, err := k.apply(routes); err != nil || took <= 0 {
		t.Errorf("apply took %v, %v", took, err)
	}
	if _, err := k.show(t.Context(), len(routes)); err != nil {
		t.Error(err)
	}
	bad := append(generate(1), dataplane.Route{Prefix: netip.MustParsePrefix("10.255.0.0/26"), NextHops: []netip.Addr{netip.MustParseAddr("198.51.100.1")}})
	if _, err := k.apply(bad); err == nil || !strings.Contains(err.Error(), "1 of 2 routes") {
		t.Errorf("a route that the kernel refuses: %v", err)
	}
	if err := os.WriteFile(k.file, []byte("route add 10.0.0.0/26 via 192.0.2.254\nroute add nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.batch(t.Context(), 2); err == nil {
		t.Error("a batch that failed was measured")
	}
}

// Whoever makes the routes, they are ours to move, and what looks at them sees all.
func TestOneCallDumpAndFailover(t *testing.T) {
	labtest.Root(t)
	k, err := newKernel(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	routes := generate(100)
	if took, err := k.oneCall(routes); err != nil || took <= 0 {
		t.Fatalf("one call a route took %v, %v", took, err)
	}
	have, err := k.table.List()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(routes, have, dataplane.Route.Equal) {
		t.Errorf("the library made %v", have)
	}
	if _, err := k.oneCall(routes[:1]); err == nil {
		t.Error("a route that is there was made again")
	}
	d, err := k.newDumper()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	_, whole, err := d.dump()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.clean(); err != nil {
		t.Fatal(err)
	}
	_, empty, err := d.dump()
	// A header, a struct rtmsg, and the destination at the least.
	if least := 100 * (16 + 12 + 8); err != nil || whole-empty < least {
		t.Errorf("a dump of 100 routes is %d bytes longer than one of none, %v", whole-empty, err)
	}
	batch, group, err := k.failover(t.Context(), 100, 2)
	if err != nil || len(batch.Ours) != 2 || len(batch.Peer) != 2 || len(group.Peer) != 2 {
		t.Errorf("failover gave %+v, %+v, %v", batch, group, err)
	}
	if have, err := k.table.List(); err != nil || len(have) != 0 {
		t.Errorf("failover left %v, %v", have, err)
	}
}

func TestEndOfDump(t *testing.T) {
	done := append([]byte{20, 0, 0, 0, 3, 0}, make([]byte, 14)...)
	refused := append([]byte{36, 0, 0, 0, 2, 0}, make([]byte, 30)...)
	refused[16] = 0xff // -1: EPERM
	copy(refused[17:], []byte{0xff, 0xff, 0xff})
	for name, tc := range map[string]struct {
		said []byte
		done bool
		err  bool
	}{
		"done":    {done, true, false},
		"at last": {append(append([]byte{24, 0, 0, 0, 24, 0}, make([]byte, 18)...), done...), true, false},
		"more":    {append([]byte{24, 0, 0, 0, 24, 0}, make([]byte, 18)...), false, false},
		"refused": {refused, true, true},
		"short":   {[]byte{1}, false, true},
	} {
		if done, err := ended(tc.said); done != tc.done || (err != nil) != tc.err {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
}
