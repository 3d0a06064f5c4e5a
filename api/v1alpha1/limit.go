package v1alpha1

// What the schema takes of the lists and counts that controller and agents fill: a
// write with more would be refused as a whole.
const (
	// MaxPlanEntries bounds the ranges of the AddressPlan, and so the pools.
	MaxPlanEntries = 256
	// MaxBlocksPerNode bounds an IPPool's maxBlocksPerNode.
	MaxBlocksPerNode = 64
	// MaxSessions, MaxBlocks, MaxReleasedBlocks and MaxWantedBlocks bound the lists
	// of a NodeState.
	MaxSessions       = 1024
	MaxBlocks         = 256
	MaxReleasedBlocks = 256
	MaxWantedBlocks   = 256
)
