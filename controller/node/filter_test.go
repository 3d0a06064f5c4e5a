package node_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"fairlead.dev/api/v1alpha1"
	"fairlead.dev/controller/plan"
)

// A pod's egress must not leave untranslated: the table is there before the store
// gives out an address, and before anybody is told of the block.
func TestTheFilterIsThereBeforePodsAndAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.filter.before = func() {
			state, err := r.store.Read()
			if err != nil {
				t.Error(err)
			}
			if len(r.filter.applied) == 0 && (len(state.Leases) > 0 || len(r.announced()) > 0) {
				t.Errorf("before the first Apply there are %d leases and %v is announced", len(state.Leases), r.announced())
			}
		}
		r.start(t)
		equal(t, "announced", r.announced(), own)
		r.filter.Lock()
		defer r.filter.Unlock()
		if len(r.filter.applied) == 0 {
			t.Fatal("the filter was not applied")
		}
		equal(t, "never translated to", r.filter.applied[0].Pods, netip.MustParsePrefix("10.244.0.0/16"))
	})
}

// What the kernel refuses is said, and tried again; all else goes on.
func TestAFilterThatFailsStopsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.filter.failure = errors.New("no memory for it")
		r.start(t)
		equal(t, "announced", r.announced(), own)
		if got := r.reason(v1alpha1.ConditionReady); got != "SyncFailed" {
			t.Errorf("Ready says %s, want SyncFailed", got)
		}
		r.filter.Lock()
		r.filter.failure = nil
		r.filter.Unlock()
		r.settle()
		if got := r.reason(v1alpha1.ConditionReady); got != "Synced" {
			t.Errorf("Ready says %s, want Synced", got)
		}
	})
}

// On a kernel without nf_tables the pools that asked for translation are told so.
func TestNoFilterIsAProblemOfPoolsThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.filter.nat = plan.NAT{Unsupported: true}
		nat, plain := v1alpha1.IPPool{}, v1alpha1.IPPool{}
		nat.Name, nat.Spec.NATOutgoing, plain.Name = "nat", true, "plain"
		r.intents.in.Pools = []v1alpha1.IPPool{nat, plain}
		r.start(t)
		want := "IPPool/nat spec.natOutgoing: is true, but the kernel of node n1 has no nf_tables: what its pods send leaves with their own addresses"
		if got := r.View().Problems; !slices.Contains(got, want) || len(got) != 1 {
			t.Errorf("problems are %q, want %q alone", got, want)
		}
		if got := r.reason(v1alpha1.ConditionReady); got != "Synced" {
			t.Errorf("Ready says %s, want Synced", got)
		}
	})
}
