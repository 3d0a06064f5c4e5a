package fault

import "golang.org/x/sys/unix"

// older adds the call that later architectures do without.
func older(calls map[uint64]reader) { calls[unix.SYS_RENAMEAT] = onPaths(Rename, 1, 3) }
