// Package ipam carves address pools into blocks. It is pure arithmetic on
// net/netip: it knows no Kubernetes object and keeps no clock.
//
// Invariants: blocks of one Pool never overlap, all lie inside its range, and a
// Space never offers a block that overlaps one that it was told is taken.
package ipam
