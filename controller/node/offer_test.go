package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// A pod that started before the node's IPv6 block came would never have IPv6.
func TestRuntimeIsOfferedAllFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.intents.in.Pools = []v1alpha1.IPPool{{ObjectMeta: metav1.ObjectMeta{Name: "six", UID: "u6"}}}
		r.intents.in.Ranges = append(r.intents.in.Ranges, v1alpha1.AddressPlanEntry{CIDR: "fd00::/64", BlockSize: 122, PoolName: "six", PoolUID: "u6"})
		r.start(t)
		r.told(t, "told with one family of two", false)
		if err := r.Ready(); err != nil {
			t.Errorf("what it has works: %v", err)
		}
		c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionCNIConfigured)
		if c == nil || c.Reason != "BlockAwaited" || !strings.Contains(c.Message, "pool six") {
			t.Errorf("condition %+v", c)
		}
		r.intents.Lock()
		r.intents.in.Blocks = append(r.intents.in.Blocks, v1alpha1.IPBlock{
			ObjectMeta: metav1.ObjectMeta{Name: "b6", UID: "b6"},
			Spec:       v1alpha1.IPBlockSpec{CIDR: "fd00::/122", PoolName: "six", PoolUID: "u6", State: v1alpha1.BlockLeased},
		})
		r.intents.Unlock()
		r.settle()
		r.told(t, "told with both", false, true)
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
