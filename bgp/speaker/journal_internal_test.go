package speaker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/bgp"
)

// newTestJournal has one peer, left, with a password.
func newTestJournal() (*journal, *bytes.Buffer) {
	var out bytes.Buffer
	j := newJournal(slog.New(slog.NewTextHandler(&out, nil)), testASN, func() {})
	j.open(bgp.Peer{Address: left, ASN: 65001, Password: "x"}, false)
	return j, &out
}

func fields(more log.Fields) log.Fields {
	f := log.Fields{"Topic": "Peer", "Key": left.String()}
	for k, v := range more {
		f[k] = v
	}
	return f
}

func state(from, to packet.FSMState, reason string) log.Fields {
	return fields(log.Fields{"old": from.String(), "new": to.String(), "reason": reason})
}

func dial(err error) log.Fields {
	return fields(log.Fields{"Error": &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: left.AsSlice(), Port: 179}, Err: err}})
}

// slow is a timeout as the net package has them.
type slow struct{}

func (slow) Error() string { return "i/o timeout" }
func (slow) Timeout() bool { return true }

func TestFailures(t *testing.T) {
	const (
		idle, open, confirm, up = packet.BGP_FSM_IDLE, packet.BGP_FSM_OPENSENT, packet.BGP_FSM_OPENCONFIRM, packet.BGP_FSM_ESTABLISHED
	)
	tests := map[string]struct {
		says func(*journal)
		want string
	}{
		"refused":  {func(j *journal) { j.Debug(msgConnectFailed, dial(syscall.ECONNREFUSED)) }, "connection to 192.0.2.1:179 refused"},
		"timeout":  {func(j *journal) { j.Debug(msgConnectFailed, dial(slow{})) }, "its MD5 password is another"},
		"no route": {func(j *journal) { j.Debug(msgConnectFailed, dial(syscall.EHOSTUNREACH)) }, "cannot connect to 192.0.2.1:179: no route to host"},
		"another":  {func(j *journal) { j.Debug(msgConnectFailed, fields(log.Fields{"Error": errors.New("odd")})) }, "cannot connect: odd"},
		"we object": {func(j *journal) {
			j.Warn(msgSent, fields(log.Fields{"Data": &packet.MessageError{TypeCode: 2, SubTypeCode: 2, Message: "expected 1, received 2"}}))
			j.Debug(msgStateChanged, state(open, idle, "invalid-msg"))
		}, "we sent NOTIFICATION code 2(open) subcode 2(bad peer as): expected 1, received 2"},
		"we object to an UPDATE": {func(j *journal) {
			j.Warn(msgBadUpdate, fields(log.Fields{"error": &packet.MessageError{Message: "Address-family rf 65537 not available for session"}}))
			j.Warn(msgSent, fields(log.Fields{"Code": uint8(0), "Subcode": uint8(0)}))
			j.Debug(msgStateChanged, state(up, idle, "notification-sent"))
		}, "we sent NOTIFICATION code 0(undefined) subcode 0(undefined), as what it sent is malformed: Address-family rf 65537"},
		"we object to a header": {func(j *journal) {
			j.Warn(msgBadHeader, fields(log.Fields{"Error": errors.New("too short")}))
			j.Warn(msgSent, fields(log.Fields{"Code": uint8(1), "Subcode": uint8(2)}))
		}, "bad message length), as what it sent is malformed: too short"},
		"the peer objects": {func(j *journal) {
			j.Warn(msgReceived, fields(log.Fields{"Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "back at noon"}))
			j.Debug(msgStateChanged, state(up, idle, "notification-received"))
		}, `peer sent NOTIFICATION code 6(cease) subcode 2(administrative shutdown): "back at noon"`},
		"the peer objects to our OPEN": {func(j *journal) { j.Debug(msgStateChanged, state(confirm, idle, "invalid-msg")) }, "does it expect AS 65101"},
		"silence":                      {func(j *journal) { j.Warn(msgHoldTimer, fields(nil)) }, "hold timer expired"},
		"gone, may be back":            {func(j *journal) { j.Debug(msgStateChanged, state(up, idle, "graceful-restart")) }, "its routes are kept"},
		"gone":                         {func(j *journal) { j.Debug(msgStateChanged, state(up, idle, "read-failed")) }, "connection lost"},
		"no MD5":                       {func(j *journal) { j.Warn(msgMD5, fields(log.Fields{"Err": syscall.ENOPROTOOPT})) }, "MD5 key"},
		"what the engine says of it": {func(j *journal) {
			j.Warn(msgReceived, fields(log.Fields{"Code": uint8(6), "Subcode": uint8(2)}))
			j.Debug(msgStateChanged, state(open, idle, "read-failed"))
		}, "administrative shutdown"},
		"what follows hides nothing": {func(j *journal) {
			j.Warn(msgReceived, fields(log.Fields{"Code": uint8(6), "Subcode": uint8(2)}))
			j.Debug(msgConnectFailed, dial(syscall.ECONNREFUSED))
		}, `peer sent NOTIFICATION code 6(cease) subcode 2(administrative shutdown); since then connection to 192.0.2.1:179 refused`},
		"a new connection does": {func(j *journal) {
			j.Warn(msgReceived, fields(log.Fields{"Code": uint8(6), "Subcode": uint8(2)}))
			j.Debug(msgStateChanged, state(packet.BGP_FSM_ACTIVE, open, "new-connection"))
			j.Debug(msgStateChanged, state(open, idle, "read-failed"))
		}, "closed the connection"},
		"over": {func(j *journal) {
			j.Debug(msgConnectFailed, dial(syscall.ECONNREFUSED))
			j.Debug(msgStateChanged, state(confirm, up, "open-msg-negotiated"))
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j, _ := newTestJournal()
			test.says(j)
			got := j.entry(left).failure
			if !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("failure is %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestJournalDoesNotFlood(t *testing.T) {
	j, out := newTestJournal()
	for range 100 {
		j.Debug(msgConnectFailed, dial(syscall.ECONNREFUSED))
		j.Warn("Closed an accepted connection", fields(nil))
		j.Info("Add a peer configuration", fields(nil))
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want one of each warning:\n%s", n, out)
	}
}

func TestJournalNamesWhatTheEngineMeans(t *testing.T) {
	j, out := newTestJournal()
	j.Warn("No matching path for withdraw found", log.Fields{"Topic": "Table", "Key": "10.244.0.0/26"})
	j.Warn("Closed an accepted connection", fields(nil))
	for _, want := range []string{"prefix=10.244.0.0/26", "peer=192.0.2.1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestJournalOfEndOfRIB(t *testing.T) {
	j, _ := newTestJournal()
	j.Debug(msgStateChanged, state(packet.BGP_FSM_OPENCONFIRM, packet.BGP_FSM_ESTABLISHED, ""))
	if j.entry(left).endOfRIB {
		t.Error("end-of-RIB before it was sent")
	}
	j.Debug(msgEndOfRIB, fields(nil))
	if e := j.entry(left); !e.endOfRIB || !e.up || e.since.IsZero() {
		t.Errorf("entry is %+v", e)
	}
	j.Debug(msgStateChanged, state(packet.BGP_FSM_ESTABLISHED, packet.BGP_FSM_IDLE, "read-failed"))
	if e := j.entry(left); e.endOfRIB || e.up {
		t.Errorf("entry of a session that is down is %+v", e)
	}
}

func TestJournalOfNobody(t *testing.T) {
	j, out := newTestJournal()
	for _, msg := range []string{msgStateChanged, msgConnectFailed, msgSent, msgReceived, msgEndOfRIB, msgHoldTimer, msgMD5} {
		for _, key := range []any{nil, "", right.String(), 7} {
			j.Warn(msg, log.Fields{"Key": key})
		}
	}
	if e := j.entry(right); e != (entry{}) || out.Len() != 0 {
		t.Errorf("entry is %+v, log %s", e, out)
	}
	if got := peerOf(log.Fields{"Key": "fe80::1%eth0"}); got != netip.MustParseAddr("fe80::1%eth0") {
		t.Errorf("peer is %s", got)
	}
}

func TestJournalPanicsWithTheEngine(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "code logic bug") {
			t.Errorf("panic is %s", got)
		}
	}()
	j, _ := newTestJournal()
	j.Panic("code logic bug", fields(nil))
}
