package main

// An exclusion is a test that is not run, for a reason that is not ours to mend.
type exclusion struct {
	// name is the test's whole name, as ginkgo has it.
	name string
	// families in which it is not run; none is all.
	families []family
	reason   string
}

// exclusions are all that we know.
func exclusions() []exclusion {
	return []exclusion{{
		name: "[sig-network] [Feature:IPv6DualStack] Granular Checks: Services Secondary IP Family [LinuxOnly] " +
			"should function for pod-Service: sctp [Feature:SCTPConnectivity]",
		reason: "is for clusters whose nodes have SCTP: the kernel that we develop on has none",
	}}
}
