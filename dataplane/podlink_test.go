package dataplane_test

import (
	"testing"

	"fairlead.dev/dataplane"
)

func TestIsPodLink(t *testing.T) {
	for name, want := range map[string]bool{
		"flabcdefghij234": true, "flabcdefghij23": false, "flABCDEFGHIJ234": false, "flabcdefghij23.": false,
		"flannel.1": false, "flannel-v6.1": false, "flannel-wg": false, "eth0": false, "": false, dataplane.OverlayLink: false,
	} {
		if got := dataplane.IsPodLink(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
