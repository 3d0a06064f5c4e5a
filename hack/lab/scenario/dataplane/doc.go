// Package dataplane holds the tests of what Fairlead makes of a node's kernel, on
// a running lab: routes, overlay, translation, filters, uplinks, and what is left
// at the end. What is true is read from kernels by ip, bridge and nft, from
// routers, and from packets that both ends count; never from what Fairlead says
// of itself.
package dataplane
