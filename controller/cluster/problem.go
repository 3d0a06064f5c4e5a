package cluster

import (
	"fmt"
	"strings"
)

// problem is why an object cannot be used, in words for a Condition.
type problem struct{ reason, message string }

// invalidSelector is the problem of a nodeSelector that does not parse.
func invalidSelector(err error) *problem {
	return &problem{reasonInvalidSelector, fmt.Sprintf("spec.nodeSelector: %v: no node is selected until it is corrected", err)}
}

// maxNamed bounds how many nodes a message names.
const maxNamed = 5

// nameSome lists the first few names and counts the rest.
func nameSome(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}
