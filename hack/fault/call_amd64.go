package fault

import "golang.org/x/sys/unix"

// older adds the calls that later architectures do without.
func older(calls map[uint64]reader) {
	for number, read := range map[uint64]reader{
		unix.SYS_OPEN:     func(th thread, a [6]uint64) (Kind, string) { return th.open(a[0], a[1]) },
		unix.SYS_CREAT:    onPath(Create, 0),
		unix.SYS_MKNOD:    onPath(Create, 0),
		unix.SYS_RENAME:   onPaths(Rename, 0, 1),
		unix.SYS_RENAMEAT: onPaths(Rename, 1, 3),
		unix.SYS_LINK:     onPaths(Link, 0, 1),
		unix.SYS_SYMLINK:  onPaths(Link, 0, 1),
		unix.SYS_UNLINK:   onPath(Unlink, 0),
		unix.SYS_MKDIR:    onPath(Mkdir, 0),
		unix.SYS_RMDIR:    onPath(Rmdir, 0),
		unix.SYS_CHMOD:    onPath(Chmod, 0),
		unix.SYS_CHOWN:    onPath(Chown, 0),
		unix.SYS_LCHOWN:   onPath(Chown, 0),
	} {
		calls[number] = read
	}
}
