package fault

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// netlinkCall tells requests that ask only from those that change something.
// Only rtnetlink's numbers say which is which; any other is taken for a change.
func netlinkCall(protocol int, data []byte) (Kind, string) {
	kind := NetlinkRead
	var names []string
	for _, typ := range messageTypes(data) {
		if protocol != unix.NETLINK_ROUTE || !asks(typ) {
			kind = NetlinkChange
		}
		names = append(names, messageName(protocol, typ))
	}
	if len(names) == 0 {
		kind = NetlinkChange // unreadable: it must not be missed
	}
	return kind, strings.Join(counted(names), ", ")
}

// messageTypes are those of the messages one after another (struct nlmsghdr).
func messageTypes(data []byte) []uint16 {
	var types []uint16
	for len(data) >= unix.SizeofNlMsghdr {
		length := uint64(binary.NativeEndian.Uint32(data))
		if length < unix.SizeofNlMsghdr {
			break
		}
		types = append(types, binary.NativeEndian.Uint16(data[4:]))
		aligned := (length + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
		data = data[min(aligned, uint64(len(data))):]
	}
	return types
}

// asks says that a message of rtnetlink reads: types come in groups of four, to
// make, delete, get and set, from RTM_BASE on.
func asks(typ uint16) bool { return typ >= unix.RTM_BASE && typ%4 == unix.RTM_GETLINK%4 }

func messageName(protocol int, typ uint16) string {
	if protocol != unix.NETLINK_ROUTE || typ < unix.RTM_BASE {
		return fmt.Sprintf("protocol %d type %d", protocol, typ)
	}
	verbs := []string{"NEW", "DEL", "GET", "SET"}
	objects := []string{"LINK", "ADDR", "ROUTE", "NEIGH", "RULE"}
	verb, object := verbs[typ%4], int(typ-unix.RTM_BASE)/4
	if object >= len(objects) {
		return fmt.Sprintf("%s type %d", verb, typ)
	}
	return verb + objects[object]
}

// counted writes what follows itself once: "NEWADDR x2".
func counted(names []string) []string {
	var out []string
	for len(names) > 0 {
		n := slices.IndexFunc(names, func(other string) bool { return other != names[0] })
		if n < 0 {
			n = len(names)
		}
		out = append(out, names[0])
		if n > 1 {
			out[len(out)-1] += fmt.Sprintf(" x%d", n)
		}
		names = names[n:]
	}
	return out
}
