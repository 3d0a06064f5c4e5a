package conformance

import (
	"context"
	"encoding/json"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// What the library that runtimes use makes of the plugin.

func libraryObligations() []Obligation {
	return []Obligation{
		{
			ID: "libcni-round-trip", Level: Must, Source: specRuntime,
			Text: "libcni attaches a container, checks it (from 0.4.0) and deletes it, with its cache of results between; nothing is left.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				node, inside := n.look(), c.look()
				c.added()
				lib, e := c.library()
				if t.since(v040) {
					err := lib.CheckNetworkList(context.Background(), n.list(), c.runtime())
					t.byLibrary(e, err, "CHECK")
				}
				c.deleted()
				cached, err := lib.GetNetworkListCachedResult(n.list(), c.runtime())
				t.must(err)
				if cached != nil {
					t.fail("libcni still has the result after DEL")
				}
				t.same("the node", node, n.look())
				t.same("the container", inside, c.look())
			},
		},
		{
			ID: "libcni-result", Level: Must, Source: specResult,
			Text: "libcni reads the result, in the configuration's version, and converts it to 1.0.0 without loss.",
			try: func(t *Trial) {
				n := t.node(Large)
				c := n.container()
				want := c.added()
				lib, _ := c.library()
				cached, err := lib.GetNetworkListCachedResult(n.list(), c.runtime())
				t.must(err)
				if cached == nil || cached.Version() != t.version {
					t.fail("libcni has no result of the configuration's version")
				}
				got, err := types100.GetResult(cached)
				if err != nil {
					t.note("%v", err)
					t.fail("libcni cannot convert the result")
				}
				if len(got.Interfaces) != len(want.Interfaces) || len(got.IPs) != len(want.IPs) || len(got.Routes) != len(want.Routes) {
					t.fail("libcni loses a part of the result")
				}
			},
		},
		{
			ID: "libcni-validate", Level: Must, Source: specVersion,
			Text: "libcni finds by VERSION that the plugin serves the configuration's version.",
			try: func(t *Trial) {
				n := t.node(Large)
				lib, e := n.container().library()
				_, err := lib.ValidateNetworkList(context.Background(), n.list())
				t.byLibrary(e, err, "VERSION")
			},
		},
		{
			ID: "libcni-gc", Level: Must, Source: specGC, Since: v110,
			Text: "GC by libcni, which deletes what it knows and then runs GC, leaves the valid attachments only.",
			try: func(t *Trial) {
				n := t.node(Small)
				containers := n.filled()
				valid := &libcni.GCArgs{ValidAttachments: []types.GCAttachment{{ContainerID: containers[0].id, IfName: containers[0].ifName}}}
				lib, e := containers[0].library()
				err := lib.GCNetworkList(context.Background(), n.list(), valid)
				t.byLibrary(e, err, "GC")
				t.succeeds(containers[0].call("CHECK"), "CHECK of a valid container")
				n.hasRoom(int(Small) - 1)
			},
		},
		{
			ID: "libcni-status", Level: Must, Source: specStatus, Since: v110,
			Text: "STATUS by libcni succeeds when the plugin is ready.",
			try: func(t *Trial) {
				n := t.node(Large)
				lib, e := n.container().library()
				err := lib.GetStatusNetworkList(context.Background(), n.list())
				t.byLibrary(e, err, "STATUS")
			},
		},
	}
}

// byLibrary fails if the plugin failed, or the library with what it said.
func (t *Trial) byLibrary(e *executor, err error, what string) {
	t.succeeds(e.last, what+" by libcni")
	if err != nil {
		t.note("%v", err)
		t.fail("%s by libcni fails", what)
	}
}

// decode reads a result that was kept.
func decode(data []byte, r *result) error { return json.Unmarshal(data, r) }
