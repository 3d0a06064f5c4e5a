package speaker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// observe takes from a message of the engine what the journal keeps, and says
// whether that was all of it.
func (j *journal) observe(msg string, f log.Fields) bool {
	if !tells(msg) {
		return false
	}
	a := peerOf(f)
	switch msg {
	case msgUpdate:
		j.touched.update(a, j.ownASN, f)
		return false
	case msgDropsStale:
		j.touched.addAll()
		return false
	case msgDefers:
		j.deferred(a)
		return false
	case msgStateChanged:
		j.stateChanged(a, fmt.Sprint(f["old"]), fmt.Sprint(f["new"]), fmt.Sprint(f["reason"]))
	case msgConnectFailed:
		err, _ := f["Error"].(error)
		j.failToConnect(a, dialFailure(err, j.entry(a).password))
	case msgBadHeader, msgBadMessage, msgBadUpdate:
		j.write(a, func(e *entry) { e.malformed = fmt.Sprint(cmp.Or(f["Error"], f["error"])) })
		return false
	case msgSent:
		text := "we sent " + notification(f)
		if bad := j.entry(a).malformed; bad != "" {
			text += ", as what it sent is malformed: " + bad
		}
		j.tell(a, text)
	case msgReceived:
		j.tell(a, "peer sent "+notification(f))
	case msgMD5:
		j.tell(a, fmt.Sprintf("the listener does not take the MD5 key: %v", f["Err"]))
	case msgHoldTimer:
		j.tell(a, "hold timer expired: nothing heard from the peer")
	case msgEndOfRIB:
		j.write(a, func(e *entry) { e.endOfRIB = true })
	}
	return true
}

// tells says that a message is one for observe. The engine has one for each
// path, too, of which the rest is not looked at.
func tells(msg string) bool {
	switch msg {
	case msgStateChanged, msgConnectFailed, msgSent, msgReceived, msgMD5, msgHoldTimer, msgEndOfRIB, msgUpdate, msgDropsStale, msgDefers,
		msgBadHeader, msgBadMessage, msgBadUpdate:
		return true
	}
	return false
}

// stateChanged follows the FSM (RFC 4271 section 8.2.2).
func (j *journal) stateChanged(a netip.Addr, from, to, reason string) {
	switch to {
	case packet.BGP_FSM_ESTABLISHED.String():
		j.write(a, func(e *entry) {
			e.again = !e.since.IsZero()
			e.up, e.since, e.endOfRIB = true, time.Now(), false
			e.restarting, e.notified, e.failure = false, "", ""
		})
		j.logger.Info("BGP session is established", "peer", a)
		return
	case packet.BGP_FSM_OPENSENT.String():
		// A connection: what failed before is over.
		j.write(a, func(e *entry) { e.notified, e.malformed = "", "" })
		return
	case packet.BGP_FSM_IDLE.String():
	default:
		return
	}
	if !j.entry(a).since.IsZero() {
		j.touched.addAll() // what it has sent goes, is stale now, or was and goes
	}
	switch from {
	case packet.BGP_FSM_ESTABLISHED.String():
		j.fail(a, lost(reason))
		j.write(a, func(e *entry) { e.up, e.endOfRIB = false, false })
		j.logger.Info("BGP session is down", "peer", a, "err", j.entry(a).failure)
	case packet.BGP_FSM_OPENSENT.String(), packet.BGP_FSM_OPENCONFIRM.String():
		j.fail(a, refused(from, reason, j.entry(a).asn, j.ownASN))
	}
}

// lost says in words why an established session ended.
func lost(reason string) string {
	switch reason {
	case "graceful-restart":
		return "connection lost; the peer can restart gracefully, so its routes are kept for now"
	case "read-failed", "write-failed":
		return "connection lost"
	}
	return strings.ReplaceAll(reason, "-", " ")
}

// refused says why a connection did not become a session. The engine does not
// show the NOTIFICATION that answers an OPEN, only that what came was none of
// the messages that it waited for; most often it is about an AS number.
func refused(state, reason string, peerASN, ownASN uint32) string {
	switch {
	case reason == "invalid-msg" && state == packet.BGP_FSM_OPENCONFIRM.String():
		return fmt.Sprintf("peer, which is AS %d as expected, refused our OPEN: "+
			"does it expect AS %d, this router ID and this address of us?", peerASN, ownASN)
	case reason == "invalid-msg":
		return fmt.Sprintf("peer refused our OPEN without sending its own: "+
			"does it expect AS %d of us at this address? We expect AS %d of it", ownASN, peerASN)
	case reason == "read-failed":
		return fmt.Sprintf("peer closed the connection instead of answering our OPEN: "+
			"is it configured for our address and AS %d?", ownASN)
	}
	return strings.ReplaceAll(reason, "-", " ")
}

// notification is RFC 4271 section 4.5 in words.
func notification(f log.Fields) string {
	if e, ok := f["Data"].(*packet.MessageError); ok {
		return fmt.Sprintf("NOTIFICATION %s: %s", errorCode(e.TypeCode, e.SubTypeCode), e.Message)
	}
	code, _ := f["Code"].(uint8)
	subcode, _ := f["Subcode"].(uint8)
	text := "NOTIFICATION " + errorCode(code, subcode)
	if why, _ := f["Communicated-Reason"].(string); why != "" {
		text += fmt.Sprintf(": %q", why) // RFC 9003
	}
	return text
}

func errorCode(code, subcode uint8) string {
	return packet.NewNotificationErrorCode(code, subcode).String()
}

// dialFailure says why there is no TCP connection. A wrong MD5 key looks like
// no peer at all: the kernels drop what is signed otherwise (RFC 2385).
func dialFailure(err error, password bool) string {
	var op *net.OpError
	var slow net.Error
	where := ""
	if errors.As(err, &op) && op.Addr != nil {
		where = " to " + op.Addr.String()
	}
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		if password {
			return "no answer on connecting" + where + ": unreachable, filtered, or its MD5 password is another"
		}
		return "no answer on connecting" + where + ": unreachable, filtered, or it wants an MD5 password"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection" + where + " refused: no BGP speaker listens there"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return "cannot connect" + where + ": " + errno.Error()
	}
	return fmt.Sprintf("cannot connect%s: %v", where, err)
}
