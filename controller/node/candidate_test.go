package node_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"fairlead.dev/api/v1alpha1"
)

// finds sets what the rule finds.
func (r *rig) finds(err error, addresses ...string) {
	r.links.Lock()
	r.links.candidates, r.links.lookErr = nil, err
	for _, a := range addresses {
		r.links.candidates = append(r.links.candidates, netip.MustParseAddr(a))
	}
	r.links.Unlock()
	r.settle()
}

// given sets what the controller gave the node, by which rule.
func (r *rig) given(rule *v1alpha1.NodeAddress, addresses ...string) {
	r.intents.Lock()
	r.intents.in.Node.Spec.NodeAddress, r.intents.in.Node.Spec.Addresses = rule, addresses
	r.intents.Unlock()
}

func (r *rig) wantCandidates(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := r.View().State.CandidateAddresses; !slices.Equal(got, want) {
		t.Errorf("%s: candidates %v, want %v", when, got, want)
	}
}

func (r *rig) wantAddresses(t *testing.T, reason string, texts ...string) {
	t.Helper()
	c := meta.FindStatusCondition(r.View().State.Conditions, v1alpha1.ConditionNodeAddresses)
	if c == nil || c.Reason != reason {
		t.Errorf("condition %+v, want %s", c, reason)
		return
	}
	for _, text := range texts {
		if !strings.Contains(c.Message, text) {
			t.Errorf("message %q lacks %q", c.Message, text)
		}
	}
}

func byEth() *v1alpha1.NodeAddress {
	return &v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressInterface, Interfaces: []string{"eth*"}}
}

func TestCandidateOfEachFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(&v1alpha1.NodeAddress{
			Source: v1alpha1.NodeAddressCIDR, CIDRs: []string{"10.1.0.0/16", "nonsense"}, CanReach: []string{"192.0.2.1", "nonsense"}, Interfaces: []string{"eth0"},
		})
		r.start(t)
		r.finds(nil, "10.1.0.9", "10.1.0.11", "2001:db8::9", "2001:db8::11")
		r.wantCandidates(t, "nothing in use", "10.1.0.9", "2001:db8::9")
		r.wantAddresses(t, "NotAccepted", "10.1.0.9", "2001:db8::9", "BGPConfiguration")
		asked := r.links.asked
		if !slices.Equal(asked.CIDRs, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}) ||
			!slices.Equal(asked.CanReach, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) || !slices.Equal(asked.Interfaces, []string{"eth0"}) {
			t.Errorf("asked by %+v", asked)
		}
	})
}

// Without a rule, and with the default one, the Node says what its address is.
func TestInternalIPNeedsNoCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(nil, "10.1.0.11")
		r.start(t)
		r.finds(nil, "10.1.0.9")
		r.wantCandidates(t, "no rule")
		r.wantAddresses(t, "OnNode", "10.1.0.11")
		r.given(&v1alpha1.NodeAddress{Source: v1alpha1.NodeAddressInternalIP}, "10.1.0.99")
		r.settle()
		r.wantCandidates(t, "InternalIP")
		// The message names what is wrong, what is there, and what would be right.
		r.wantAddresses(t, "NotOnNode", "InternalIP 10.1.0.99", "10.1.0.11", "--node-ip")
		r.given(nil)
		r.settle()
		r.wantAddresses(t, "NoInternalIP", "10.1.0.11")
	})
}

// The address in use is not given up for another that appears, nor for a moment
// in which it is not there.
func TestAddressInUseStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(byEth(), "10.1.0.11")
		r.start(t)
		r.finds(nil, "10.1.0.9", "10.1.0.11")
		r.wantCandidates(t, "a preferred one appears", "10.1.0.11")
		r.wantAddresses(t, "OnNode")
		r.finds(nil, "10.1.0.9")
		r.wantCandidates(t, "gone for a moment", "10.1.0.11")
		time.Sleep(10 * time.Second)
		r.finds(nil, "10.1.0.9", "10.1.0.11")
		r.finds(nil, "10.1.0.9")
		time.Sleep(20 * time.Second)
		r.settle()
		r.wantCandidates(t, "gone for a moment, again", "10.1.0.11")
		time.Sleep(2 * time.Minute)
		r.wantCandidates(t, "gone for long, without any event", "10.1.0.9")
		r.finds(nil)
		r.wantCandidates(t, "nothing is there")
	})
}

// An agent that starts while a link bounces gives it the same time.
func TestAddressInUseStaysOverAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(byEth(), "10.1.0.11")
		r.links.candidates = []netip.Addr{netip.MustParseAddr("10.1.0.9")}
		r.start(t)
		r.wantCandidates(t, "just started", "10.1.0.11")
		time.Sleep(2 * time.Minute)
		r.wantCandidates(t, "for long", "10.1.0.9")
	})
}

// A new rule is obeyed at once.
func TestNewRuleIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(nil, "10.1.0.11")
		r.start(t)
		r.given(byEth(), "10.1.0.11")
		r.finds(nil, "10.1.0.9")
		r.wantCandidates(t, "the rule is new", "10.1.0.9")
		r.given(byEth(), "10.1.0.9") // accepted
		r.settle()
		r.wantCandidates(t, "accepted", "10.1.0.9")
		r.wantAddresses(t, "NotFound", "10.1.0.9", "10.1.0.11") // which the rig's links do not have
		r.given(byEth())
		r.finds(nil)
		r.wantAddresses(t, "NotFound", "Interface", "10.1.0.11")
	})
}

// What could not be looked up is said so, and is no reason to report less routes.
func TestFailedLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.given(byEth(), "10.1.0.11")
		r.start(t)
		r.finds(errors.New("interrupted"))
		if r.reason(v1alpha1.ConditionReady) != "SyncFailed" {
			t.Errorf("conditions: %+v", r.View().State.Conditions)
		}
		equal(t, "announced", r.announced(), own)
		r.finds(nil, "10.1.0.11")
		if err := r.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// A link that is new is prepared with the next sync, not the next resync.
func TestNewLinkIsPrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(t)
		before := r.links.prepared
		r.settle()
		if r.links.prepared != before {
			t.Fatal("prepared without a cause")
		}
		r.Replugged()
		time.Sleep(time.Second)
		synctest.Wait()
		if r.links.prepared != before+1 {
			t.Errorf("prepared %d times, want once", r.links.prepared-before)
		}
	})
}
