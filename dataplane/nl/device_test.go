package nl

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzParseDevice and FuzzParseNeighbour: an answer is understood or refused.
func FuzzParseDevice(f *testing.F) {
	near, far := End{Name: "fla", MAC: MAC{2}}, End{Name: "eth0"}
	f.Add(body(AddVeth(near, far, 3, 1500)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ParseDevice(body); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}

func FuzzParseNeighbour(f *testing.F) {
	f.Add(body(SetNeighbour(Neighbour{Link: 1, Addr: netip.MustParseAddr("10.0.0.1"), MAC: MAC{2}})))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ok, err := ParseNeighbour(body)
		if err != nil && !errors.Is(err, ErrMalformed) || ok && !n.Addr.IsValid() {
			t.Fatalf("%+v, %v, %v", n, ok, err)
		}
	})
}

// What a request says is what the parser of answers reads.
func TestRequestsReadBack(t *testing.T) {
	d, err := ParseDevice(body(AddVeth(End{Name: "fla", MAC: MAC{2, 1}}, End{Name: "eth0"}, 3, 1400)))
	if err != nil || d.Name != "fla" || d.MTU != 1400 || d.MAC != (MAC{2, 1}) || !d.Up || d.Operational {
		t.Errorf("veth: %+v, %v", d, err)
	}
	want := Neighbour{Link: 7, Addr: netip.MustParseAddr("fe80::1"), MAC: MAC{2, 3}, State: unix.NUD_PERMANENT}
	if n, ok, err := ParseNeighbour(body(SetNeighbour(want))); n != want || !ok || err != nil {
		t.Errorf("neighbour: %+v, %v, %v", n, ok, err)
	}
	a, ok, err := ParseAddress(body(AddAddress(7, netip.MustParseAddr("fd00::1"))))
	if err != nil || !ok || a.Prefix.String() != "fd00::1/128" || a.Flags&unix.IFA_F_NODAD == 0 {
		t.Errorf("address: %+v, %v, %v", a, ok, err)
	}
}
