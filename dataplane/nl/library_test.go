package nl

import (
	"testing"

	rtnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane/nstest"
)

// Why Conn has an exchange and parsers of its own (docs/design/0010). When one of
// these fails, the library was repaired, and ours may go.

// panics says whether f does.
func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// A dump that ends with an error in words takes the library's process with it.
// That is what a node without a single IPv4 route answers.
func TestLibraryExchangePanics(t *testing.T) {
	ns := nstest.New(t, "nl")
	ns.Do(t, func() {
		s, err := rtnl.Subscribe(unix.NETLINK_ROUTE)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if err := s.SetExtAck(true); err != nil {
			t.Error(err)
		}
		if err := unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil {
			t.Error(err)
		}
		req := rtnl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		req.Sockets = map[int]*rtnl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
		req.AddData(&rtnl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET}})
		req.AddData(rtnl.NewRtAttr(unix.RTA_TABLE, rtnl.Uint32Attr(1000)))
		if !panics(func() { _, err = req.Execute(unix.NETLINK_ROUTE, 0) }) {
			t.Errorf("no panic, but %v", err)
		}
	})
}

// An attribute without its padding is read beyond its end.
func TestLibraryParserPanics(t *testing.T) {
	if !panics(func() { _, _ = rtnl.ParseRouteAttr([]byte{5, 0, 1, 0, 7}) }) {
		t.Error("no panic")
	}
}
