package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/cniplugin/install"
)

func (r *rig) told(t *testing.T, what string, want ...bool) {
	t.Helper()
	r.runtime.Lock()
	defer r.runtime.Unlock()
	if !slices.Equal(r.runtime.ready, want) {
		t.Errorf("%s: %v, want %v", what, r.runtime.ready, want)
	}
}

// The runtime hears that the node is ready when its block's route is in the
// kernel, whatever the peers do.
func TestRuntimeIsOfferedAReadyNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.kernel.Refuse(own, errors.New("a static route is there"))
		r.start(t)
		r.told(t, "told without the block's route", false)
		if c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionCNIConfigured); c != nil {
			t.Errorf("condition of what is not there yet: %+v", c)
		}
		r.kernel.Refuse(own, nil)
		r.settle()
		r.told(t, "told with it, and no session", false, true)
		if got := r.reason(v1alpha1.ConditionCNIConfigured); got != "Configured" {
			t.Errorf("reason %q", got)
		}
		r.converge()
		r.speaker.Down(tor1, "hold timer expired")
		r.speaker.Down(tor2, "hold timer expired")
		r.settle()
		r.told(t, "told with every peer down", false, true)
	})
}

func TestRuntimeIsOfferedNothingBeforeAnythingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.intents.known = false
		r.runtime.found.Rivals = []install.Rival{{Name: "05-other.conflist"}}
		r.start(t)
		r.told(t, "told", false)
		if got := r.reason(v1alpha1.ConditionCNIConfigured); got != "OtherFirst" {
			t.Errorf("reason %q", got)
		}
	})
}

func TestNodeIsNotReadyWithoutItsConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.runtime.failure = errors.New("install 10-fairlead.conflist: read-only file system")
		r.start(t)
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "read-only file system") {
			t.Errorf("ready: %v", err)
		}
		r.runtime.Lock()
		r.runtime.failure = nil
		r.runtime.Unlock()
		r.settle() // it is tried again without an event
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestRivalsAreReported(t *testing.T) {
	for name, tt := range map[string]struct {
		found  install.Found
		reason string
		says   string
	}{
		"another provider's": {
			install.Found{Installed: true, Rivals: []install.Rival{{Name: "05-other.conflist"}, {Name: "06-b.conf", Broken: errors.New("x")}}},
			"OtherFirst", "05-other.conflist comes before 10-fairlead.conflist",
		},
		"a broken one": {
			install.Found{Installed: true, Changed: true, Rivals: []install.Rival{{Name: "00-a.conf", Broken: errors.New("missing 'type'")}}},
			"BrokenFileFirst", "00-a.conf comes before 10-fairlead.conflist by name and cannot be read (missing 'type')",
		},
		"taken away each time":    {install.Found{Removed: true}, "Removed", "end it"},
		"ours, by another's hand": {install.Found{Installed: true, Changed: true}, "ChangedByHand", "starts next"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.runtime.found, r.runtime.removed = tt.found, tt.found.Removed
				r.start(t)
				c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionCNIConfigured)
				if c == nil || c.Reason != tt.reason || !strings.Contains(c.Message, tt.says) {
					t.Errorf("condition %+v, want %s with %q", c, tt.reason, tt.says)
				}
				if err := r.Ready(); err != nil {
					t.Errorf("it is no fault of the node: %v", err)
				}
			})
		})
	}
}
