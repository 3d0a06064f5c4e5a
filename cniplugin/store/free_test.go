package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func held(s *State) (out []string) {
	for _, a := range s.Allocations {
		out = append(out, a.Address.String())
	}
	return out
}

func released(s *State) (out []string) {
	for _, r := range s.Released {
		out = append(out, r.Address.String())
	}
	return out
}

func TestFree(t *testing.T) {
	s := leased("10.0.1.0/26", "fd00::/122")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	if freed := s.Free(who("a"), at(time.Minute)); len(freed) != 2 {
		t.Errorf("freed %v", freed)
	}
	if freed := s.Free(who("a"), at(2*time.Minute)); freed != nil {
		t.Errorf("freed a second time: %v", freed)
	}
	if freed := s.Free(who("never"), at(0)); freed != nil {
		t.Errorf("freed what never was: %v", freed)
	}
	if diff := cmp.Diff([]string{"10.0.1.1", "fd00::1"}, held(s)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.0.1.0", "fd00::"}, released(s)); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	if s.Released[0].At != time.Minute {
		t.Errorf("released at %s", s.Released[0].At)
	}
}

// An entry rebuilt from the kernel knows its veth only.
func TestFreeRebuilt(t *testing.T) {
	s := leased("10.0.1.0/26")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	for i := range s.Allocations {
		s.Allocations[i].ContainerID, s.Allocations[i].IfName = "", ""
	}
	s.Free(who("b"), at(0))
	if diff := cmp.Diff([]string{"10.0.1.0"}, held(s)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}

func TestStale(t *testing.T) {
	s := leased("10.0.1.0/26")
	for _, id := range []string{"valid", "gone", "otherNet", "rebuilt"} {
		add(t, s, id, 0)
	}
	s.Allocations[2].Network = "other"
	s.Allocations[3].Network, s.Allocations[3].ContainerID = "", ""
	stale := s.Stale(KindPod, "net", []Attachment{who("valid"), who("neverAdded")})
	if len(stale) != 1 || stale[0].ContainerID != "gone" {
		t.Errorf("stale: %+v", stale)
	}
	if len(s.Stale(KindPod, "net", nil)) != 2 {
		t.Error("without a valid attachment all of the network's are stale")
	}
}

func TestHeld(t *testing.T) {
	s := leased("10.0.1.0/26", "fd00::/122")
	add(t, s, "a", 0)
	add(t, s, "b", 0)
	if got := s.Held(who("b")); len(got) != 2 || got[0].Address.String() != "10.0.1.1" {
		t.Errorf("held by b: %+v", got)
	}
	if got := s.Held(who("c")); got != nil {
		t.Errorf("held by nobody: %+v", got)
	}
}

func TestReleaseLeaks(t *testing.T) {
	const grace = 2 * time.Minute
	for _, tc := range []struct {
		name   string
		live   []string
		change func(*Allocation)
		asOf   time.Duration
		freed  bool
	}{
		{"veth is there", []string{"fla"}, nil, time.Hour, false},
		{"veth is gone", []string{"flother"}, nil, time.Hour, true},
		{"no veth at all", nil, nil, time.Hour, true},
		{"just at the end of grace", nil, nil, 10*time.Second + grace, true},
		{"ADD in flight", nil, nil, 9*time.Second + grace, false},
		{"added after the veths were listed", nil, nil, 9 * time.Second, false},
		{"of an earlier boot", nil, func(a *Allocation) { a.BootID = "before" }, 11 * time.Second, true},
		{"of an earlier boot, clock ahead", nil, func(a *Allocation) { a.BootID, a.At = "before", time.Hour }, time.Second, true},
		{"of another kind", nil, func(a *Allocation) { a.Kind = "tunnel" }, time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := leased("10.0.1.0/26")
			add(t, s, "a", 10*time.Second)
			if tc.change != nil {
				tc.change(&s.Allocations[0])
			}
			freed := s.ReleaseLeaks(tc.live, at(tc.asOf), grace)
			if got := len(freed) == 1; got != tc.freed || len(s.Allocations) == 1 == tc.freed {
				t.Errorf("freed %v, left %v, want freed: %v", freed, s.Allocations, tc.freed)
			}
			if tc.freed && len(s.Released) != 1 {
				t.Errorf("released: %v", s.Released)
			}
		})
	}
}

func TestAddLimitIsWellWithinLeakGrace(t *testing.T) {
	if 2*AddLimit > LeakGrace {
		t.Errorf("an ADD may take %s and is a leak after %s", AddLimit, LeakGrace)
	}
}
