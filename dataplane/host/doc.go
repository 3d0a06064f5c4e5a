// Package host reads and sets what concerns the node as a whole: its identity,
// its addresses, and the few sysctls that are not ours and that Fairlead needs.
//
// Invariants: a sysctl is only changed from the one value that is in the way to
// the one that is needed, its value before is on disk before it is changed, and
// Restore leaves the node as Prepare found it. Sysctls of pod links are the
// plugin's and never touched here.
//
// Everything works in the network namespace of the calling thread.
package host
