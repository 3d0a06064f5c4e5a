package route

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
	"fairlead.dev/dataplane/routetest"
)

// scripted is a kernel that tells anything: each listing of a family is cut off
// the answer. It obeys nothing, and notes what it is asked.
type scripted struct {
	answer []byte
	// told are the routes of the listings so far, broken the families of which one
	// was interrupted or made no sense.
	told   []nl.Route
	broken map[uint8]bool
	asked  func(typ, flags uint16, r nl.Route)
}

func (k *scripted) Scan(family uint8, start func() (visit func(*nl.Route))) error {
	visit := start()
	for len(k.answer) >= 2 {
		kind, size := k.answer[0], min(int(k.answer[1]), len(k.answer)-2)
		body := k.answer[2 : 2+size]
		k.answer = k.answer[2+size:]
		switch kind % 16 {
		case 0:
			return nil
		case 1:
			k.broken[family] = true
			return nl.ErrInterrupted
		case 2: // tells it all again
			visit = start()
			continue
		}
		r, ok, err := nl.ParseRoute(body)
		if err != nil {
			k.broken[family] = true
			return err
		}
		if ok && r.Family() == family {
			k.told = append(k.told, r.Clone())
			visit(&r)
		}
	}
	return nil
}

func (k *scripted) Send(n int, message func(int, []byte) []byte, refused func(int, error)) {
	for i := range n {
		b := message(i, nil)
		r, ok, err := nl.ParseRoute(b[unix.SizeofNlMsghdr:])
		if err == nil && ok {
			k.asked(binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), r)
		}
		if i%2 == 1 {
			refused(i, unix.EEXIST)
		}
	}
}

func (k *scripted) Index(string) (uint32, error) { return 3, nil }
func (k *scripted) Links() ([]nl.Link, error)    { return []nl.Link{{Index: 3, Name: "eth0"}}, nil }

// scriptedWant are wanted routes that the seeds speak of.
func scriptedWant() []dataplane.Route {
	return []dataplane.Route{
		routetest.Via("10.244.1.0/26", "10.2.0.11"), routetest.Blackhole("10.244.2.0/26"), routetest.Via("10.244.3.0/26", "10.2.0.11", "fe80::1%eth0"),
		routetest.OnLink(routetest.Via("fd00:1::/122", "fe80::1"), "eth0"), routetest.Blackhole("fd00:2::/122"),
	}
}

// FuzzApply has Apply told anything by the kernel: it comes back; it
// deletes only routes that the kernel told, as it told them, that are ours, and
// after an interrupted listing none; it writes wanted prefixes only, under our
// number, and replaces none that holds a foreign route with our metric.
func FuzzApply(f *testing.F) {
	entry := func(r nl.Route) []byte {
		m := nl.AddRoute(r).Serialize()[unix.SizeofNlMsghdr:]
		return append([]byte{3, byte(len(m))}, m...)
	}
	var whole, foreign, odd []byte
	for _, w := range scriptedWant() {
		var raw nl.Route
		links{indexes: map[string]uint32{"eth0": 3}}.encode(&raw, &w)
		whole = append(whole, entry(raw)...)
		raw.Metric = 5
		odd = append(odd, entry(raw)...)
		raw.Metric, raw.Protocol = dataplane.Metric, unix.RTPROT_STATIC
		foreign = append(foreign, entry(raw)...)
		raw.Table, raw.Protocol, raw.Prefix = 77, dataplane.ProtocolRoute, netip.PrefixFrom(raw.Prefix.Addr(), 30).Masked()
		foreign = append(foreign, entry(raw)...)
	}
	end := []byte{0, 0}
	for _, seed := range [][]byte{whole, foreign, odd, append(odd[:len(odd):len(odd)], whole...), append(whole[:len(whole):len(whole)], foreign...)} {
		f.Add(append(seed[:len(seed):len(seed)], end...), byte(31), true)
		f.Add(append(append(seed[:len(seed):len(seed)], 1, 0), seed...), byte(5), true)
		f.Add(append(append(seed[:len(seed):len(seed)], 2, 0), seed...), byte(0), false)
	}
	f.Fuzz(func(t *testing.T, answer []byte, wanted byte, prune bool) {
		var want []dataplane.Route
		for i, r := range scriptedWant() {
			if wanted>>i&1 == 1 {
				want = append(want, r)
			}
		}
		k := &scripted{answer: answer, broken: map[uint8]bool{}}
		k.asked = func(typ, flags uint16, r nl.Route) { k.check(t, want, prune, typ, flags, r) }
		table := &Table{kernel: k}
		res, err := table.Apply(want, prune)
		if err != nil && !errors.Is(err, nl.ErrInterrupted) && (res.Seen || len(res.Failed)+len(res.Surplus) > 0) && !errors.Is(err, unix.EEXIST) {
			t.Errorf("%v, and a result: %+v", err, res)
		}
		for _, w := range want {
			if res.Holds(w.Prefix) && !k.hasTold(func(r *nl.Route) bool { return r.Prefix == w.Prefix && r.Protocol == dataplane.ProtocolRoute }) {
				t.Errorf("%s is held, and the kernel never told", w)
			}
		}
	})
}

func (k *scripted) hasTold(yes func(r *nl.Route) bool) bool {
	for i := range k.told {
		if yes(&k.told[i]) {
			return true
		}
	}
	return false
}

func (k *scripted) check(t *testing.T, want []dataplane.Route, prune bool, typ, flags uint16, r nl.Route) {
	_, wanted := dataplane.Find(want, r.Prefix)
	same := func(o *nl.Route) bool {
		return o.Prefix == r.Prefix && o.Table == r.Table && o.Protocol == r.Protocol && o.Metric == r.Metric && o.TOS == r.TOS
	}
	twin := func(o *nl.Route) bool {
		return o.Prefix == r.Prefix && o.Table == r.Table && o.Metric == r.Metric && o.Protocol != r.Protocol &&
			o.Protocol != dataplane.ProtocolPod && o.TOS == 0
	}
	switch {
	case r.Table != unix.RT_TABLE_MAIN || r.Protocol != dataplane.ProtocolRoute:
		t.Errorf("asked about table %d, protocol %d", r.Table, r.Protocol)
	case typ == unix.RTM_DELROUTE && (k.broken[r.Family()] || !k.hasTold(same) || !wanted && !prune):
		t.Errorf("asked to delete %+v; broken: %v, wanted: %v", r, k.broken, wanted)
	case typ == unix.RTM_NEWROUTE && (!wanted || r.Metric != dataplane.Metric):
		t.Errorf("asked to write %+v", r)
	case typ == unix.RTM_NEWROUTE && flags&unix.NLM_F_EXCL == 0 && !k.broken[r.Family()] && k.hasTold(twin):
		t.Errorf("asked to replace %+v, which is not ours", r)
	}
}
