package v1alpha1

import (
	"net/netip"
	"testing"
)

func TestEffectiveBlockSize(t *testing.T) {
	size := int32(28)
	for _, tc := range []struct {
		spec IPPoolSpec
		want int
	}{
		{IPPoolSpec{CIDR: "10.244.0.0/16"}, 26},
		{IPPoolSpec{CIDR: "fd00::/64"}, 122},
		{IPPoolSpec{CIDR: "10.244.0.0/16", BlockSize: &size}, 28},
	} {
		if got := tc.spec.EffectiveBlockSize(); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.spec.CIDR, got, tc.want)
		}
	}
}

func TestEffectiveAdvertise(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		set  *bool
		want bool
	}{{nil, true}, {&yes, true}, {&no, false}} {
		if got := (IPPoolSpec{Advertise: tc.set}).EffectiveAdvertise(); got != tc.want {
			t.Errorf("advertise %v: %v", tc.set, got)
		}
	}
}

func TestEffectiveMaxBlocksPerNode(t *testing.T) {
	one := int32(1)
	for _, tc := range []struct {
		set  *int32
		want int
	}{{nil, 4}, {&one, 1}} {
		if got := (IPPoolSpec{MaxBlocksPerNode: tc.set}).EffectiveMaxBlocksPerNode(); got != tc.want {
			t.Errorf("maxBlocksPerNode %v: %d, want %d", tc.set, got, tc.want)
		}
	}
}

func TestEffectiveState(t *testing.T) {
	for set, want := range map[PoolState]PoolState{"": PoolActive, PoolActive: PoolActive, PoolDraining: PoolDraining, PoolDisabled: PoolDisabled} {
		if got := (IPPoolSpec{State: set}).EffectiveState(); got != want {
			t.Errorf("state %q: %q, want %q", set, got, want)
		}
	}
}

func TestBlockName(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.244.1.0/26":          "10.244.1.0-26",
		"10.244.1.9/26":          "10.244.1.0-26", // masked
		"fd00:10:244::40/122":    "fd00-10-244--40-122",
		"fd00:1:2:3:4:5:6:0/112": "fd00-1-2-3-4-5-6-0-112",
	} {
		if got := BlockName(netip.MustParsePrefix(cidr)); got != want {
			t.Errorf("%s: %s, want %s", cidr, got, want)
		}
	}
}
