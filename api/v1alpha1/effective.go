package v1alpha1

import "net/netip"

// EffectiveBlockSize is blockSize, or the default of the pool's address family.
func (s IPPoolSpec) EffectiveBlockSize() int {
	if s.BlockSize != nil {
		return int(*s.BlockSize)
	}
	if p, err := netip.ParsePrefix(s.CIDR); err == nil && p.Addr().Is6() {
		return DefaultBlockSize6
	}
	return DefaultBlockSize4
}

// EffectiveAdvertise is advertise, or its default.
func (s IPPoolSpec) EffectiveAdvertise() bool {
	return s.Advertise == nil || *s.Advertise
}

// EffectiveState is state, or its default.
func (s IPPoolSpec) EffectiveState() PoolState {
	if s.State == "" {
		return PoolActive
	}
	return s.State
}

// EffectiveSource is source, or its default.
func (s IPPoolSpec) EffectiveSource() PoolSource {
	if s.Source == "" {
		return SourceManaged
	}
	return s.Source
}

// EffectiveMaxBlocksPerNode is maxBlocksPerNode, or its default. A node has one
// podCIDR of a family.
func (s IPPoolSpec) EffectiveMaxBlocksPerNode() int {
	if s.EffectiveSource() == SourceNodeSpec {
		return 1
	}
	if s.MaxBlocksPerNode == nil {
		return DefaultMaxBlocksPerNode
	}
	return int(*s.MaxBlocksPerNode)
}
