package filter

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// A kernel without nf_tables answers no request for it (nfnetlink_rcv_msg).
func TestUnsupported(t *testing.T) {
	for _, answer := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP} {
		conn, err := nftables.New(nftables.WithTestDial(func([]netlink.Message) ([]netlink.Message, error) { return nil, answer }))
		if err != nil {
			t.Fatal(err)
		}
		table := &Table{conn: conn}
		if _, err := table.List(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("List: %v, want %v", err, ErrUnsupported)
		}
		if err := table.Apply(dataplane.Filter{}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Apply: %v, want %v", err, ErrUnsupported)
		}
		if err := table.Clean(); err != nil {
			t.Errorf("Clean: %v, want nothing to do", err)
		}
	}
}

// What is refused first is why; what names it is refused because of that.
func TestFirst(t *testing.T) {
	err := fmt.Errorf("receive: %w", errors.Join(errors.Join(unix.ENOMEM, unix.ENOENT), unix.ENOENT))
	if got := first(err); !errors.Is(got, unix.ENOMEM) || errors.Is(got, unix.ENOENT) {
		t.Errorf("first of %v is %v", err, got)
	}
	if first(nil) != nil {
		t.Error("nothing is something")
	}
}
