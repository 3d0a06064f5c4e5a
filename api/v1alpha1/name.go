package v1alpha1

import (
	"net/netip"
	"strings"
)

// BlockName is the only name that an IPBlock of this CIDR may have.
func BlockName(cidr netip.Prefix) string {
	return strings.NewReplacer(":", "-", "/", "-").Replace(cidr.Masked().String())
}
