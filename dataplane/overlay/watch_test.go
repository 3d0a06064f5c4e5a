package overlay

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
	"fairlead.dev/dataplane/nl"
)

// watch begins to watch; the channel ends with the test.
func (n *node) watch(t *testing.T) <-chan struct{} {
	t.Helper()
	var changes <-chan struct{}
	n.Do(t, func() {
		var err error
		if changes, err = n.device.Watch(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return changes
}

// monitor returns what the kernel notifies of while f runs. A link that is made
// after f marks the end.
func monitor(t *testing.T, f func()) (events []string) {
	t.Helper()
	m, err := nl.Subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer m.Close()
	conn, err := nl.Dial()
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	f()
	end := nl.AddVXLAN(nl.VXLAN{Name: "end", VNI: 1, Port: 1, Local: addr("10.0.0.1"), MTU: 1450, MAC: nl.MAC{2, 0, 0, 0, 0, 1}})
	if err := conn.Batch([]nl.Message{end})[0]; err != nil {
		t.Error(err)
		return nil
	}
	for ended := false; !ended; {
		err := m.Receive(context.Background(), func(e nl.Event) {
			text := describe(e)
			ended = ended || strings.Contains(text, "end")
			if !ended {
				events = append(events, text)
			}
		})
		if err != nil {
			t.Error(err)
			return events
		}
	}
	return events
}

func describe(e nl.Event) string {
	if e.Type == unix.RTM_NEWLINK {
		l, _ := nl.ParseLink(e.Body)
		return "link " + l.Name
	}
	if f, ok, _ := nl.ParseForward(e.Body); ok && (e.Type == unix.RTM_NEWNEIGH || e.Type == unix.RTM_DELNEIGH) {
		return fmt.Sprintf("%s %s", map[bool]string{true: "Deleted", false: "Set"}[e.Type == unix.RTM_DELNEIGH], dataplane.MAC(f.MAC))
	}
	return fmt.Sprintf("type %d", e.Type)
}
