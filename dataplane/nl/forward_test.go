package nl

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzParseForward(f *testing.F) {
	for _, entry := range []Forward{
		{Link: 7, MAC: MAC{2, 0, 0, 0, 0, 9}, To: netip.MustParseAddr("10.1.0.12")},
		{Link: 7, To: netip.MustParseAddr("fd00:1::12")},
	} {
		body := SetForward(entry).Serialize()[unix.SizeofNlMsghdr:]
		if got, ok, err := ParseForward(body); !ok || err != nil || got != entry {
			f.Errorf("got %v, %v, %v, want %v", got, ok, err, entry)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if entry, ok, err := ParseForward(body); ok && err != nil {
			t.Errorf("%v with an error: %v", entry, err)
		}
	})
}
