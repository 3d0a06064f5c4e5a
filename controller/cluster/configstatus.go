package cluster

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fairlead.dev/api/v1alpha1"
)

// decideConfigs returns the status of each BGPConfiguration, by name. It needs
// sorted State.
func decideConfigs(s *State) map[string]v1alpha1.BGPConfigurationStatus {
	gov := govern(s)
	_, refusals := decideAddresses(s, gov)
	out := make(map[string]v1alpha1.BGPConfigurationStatus, len(s.Configs))
	for i := range s.Configs {
		c := &s.Configs[i]
		status := *c.Status.DeepCopy()
		status.NodesGoverned = gov.count[c.Name]
		setConditions(&status.Conditions, s.Now, configReady(c, gov.invalid[c.Name]), configConflict(c, gov.conflicts), configAddresses(c, refusals))
		out[c.Name] = status
	}
	return out
}

func configReady(c *v1alpha1.BGPConfiguration, invalid *problem) metav1.Condition {
	if invalid != nil {
		return condition(v1alpha1.ConditionReady, false, invalid.reason, invalid.message, c.Generation)
	}
	return condition(v1alpha1.ConditionReady, true, reasonAccepted, "the nodes that it governs follow it", c.Generation)
}

func configConflict(c *v1alpha1.BGPConfiguration, conflicts map[string]conflict) metav1.Condition {
	found, conflicting := conflicts[c.Name]
	if !conflicting {
		return condition(v1alpha1.ConditionConflict, false, reasonNoConflict, "no other BGPConfiguration is as specific for a node", c.Generation)
	}
	return condition(v1alpha1.ConditionConflict, true, reasonSameSpecificity, fmt.Sprintf(
		"BGPConfiguration/%s has as many requirements in its nodeSelector and selects node %s too, which follows %s, the first by name: add a requirement to one of the two",
		found.other, found.node, found.winner), c.Generation)
}

func configAddresses(c *v1alpha1.BGPConfiguration, refusals []refusal) metav1.Condition {
	var texts []string
	for _, f := range refusals {
		if f.config == c.Name {
			texts = append(texts, fmt.Sprintf("node %s may not have %s: %s", f.node, f.address, f.why))
		}
	}
	if len(texts) == 0 {
		return condition(v1alpha1.ConditionAddressesAccepted, true, reasonAccepted, "no node that it governs is refused an address", c.Generation)
	}
	slices.Sort(texts)
	message := texts[0]
	if more := len(texts) - 1; more > 0 {
		message = fmt.Sprintf("%s (and %d more)", message, more)
	}
	return condition(v1alpha1.ConditionAddressesAccepted, false, reasonAddressRefused, message, c.Generation)
}
