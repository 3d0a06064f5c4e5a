package fault

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// reader tells what a call with these arguments is about; no kind if it changes
// nothing.
type reader func(th thread, args [6]uint64) (Kind, string)

// table is of the calls that every architecture has, with those of this one.
func table() map[uint64]reader {
	calls := map[uint64]reader{
		unix.SYS_WRITE:           wrote(func(th thread, a [6]uint64) []byte { return th.memory(a[1], a[2]) }),
		unix.SYS_PWRITE64:        wrote(nil),
		unix.SYS_WRITEV:          wrote(func(th thread, a [6]uint64) []byte { return th.vector(a[1], a[2]) }),
		unix.SYS_PWRITEV:         wrote(nil),
		unix.SYS_PWRITEV2:        wrote(nil),
		unix.SYS_SENDFILE:        wrote(nil),
		unix.SYS_COPY_FILE_RANGE: func(th thread, a [6]uint64) (Kind, string) { return th.write(a[2], nil) },
		unix.SYS_FALLOCATE:       wrote(nil),
		unix.SYS_SENDTO:          wrote(func(th thread, a [6]uint64) []byte { return th.memory(a[1], a[2]) }),
		unix.SYS_SENDMSG:         wrote(func(th thread, a [6]uint64) []byte { return th.message(a[1]) }),
		unix.SYS_SENDMMSG:        wrote(func(th thread, a [6]uint64) []byte { return th.message(a[1]) }),
		unix.SYS_OPENAT:          func(th thread, a [6]uint64) (Kind, string) { return th.open(a[1], a[2]) },
		unix.SYS_OPENAT2:         func(th thread, a [6]uint64) (Kind, string) { return th.open(a[1], th.word(a[2])) },
		unix.SYS_MKNODAT:         onPath(Create, 1),
		unix.SYS_RENAMEAT2:       onPaths(Rename, 1, 3),
		unix.SYS_LINKAT:          onPaths(Link, 1, 3),
		unix.SYS_SYMLINKAT:       onPaths(Link, 0, 2),
		unix.SYS_MKDIRAT:         onPath(Mkdir, 1),
		unix.SYS_UNLINKAT: func(th thread, a [6]uint64) (Kind, string) {
			if a[2]&unix.AT_REMOVEDIR != 0 {
				return Rmdir, th.text(a[1])
			}
			return Unlink, th.text(a[1])
		},
		unix.SYS_TRUNCATE:  onPath(Truncate, 0),
		unix.SYS_FTRUNCATE: onFile(Truncate),
		unix.SYS_FCHMOD:    onFile(Chmod),
		unix.SYS_FCHMODAT:  onPath(Chmod, 1),
		unix.SYS_FCHMODAT2: onPath(Chmod, 1),
		unix.SYS_FCHOWN:    onFile(Chown),
		unix.SYS_FCHOWNAT:  onPath(Chown, 1),
		unix.SYS_FLOCK:     onFile(Flock),
		unix.SYS_FCNTL: func(th thread, a [6]uint64) (Kind, string) {
			switch a[1] {
			case unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
				return FcntlLock, th.file(a[0])
			}
			return "", ""
		},
		unix.SYS_SETNS:      onFile(Setns),
		unix.SYS_UNSHARE:    func(_ thread, a [6]uint64) (Kind, string) { return Unshare, fmt.Sprintf("flags %#x", a[0]) },
		unix.SYS_MOUNT:      onPath(Mount, 1),
		unix.SYS_MOVE_MOUNT: onPaths(Mount, 1, 3),
		unix.SYS_UMOUNT2:    onPath(Umount, 0),
	}
	older(calls)
	return calls
}

// onPath is of a call about the file that an argument names.
func onPath(kind Kind, arg int) reader {
	return func(th thread, a [6]uint64) (Kind, string) { return kind, th.text(a[arg]) }
}

// onPaths is of a call from one file to another.
func onPaths(kind Kind, from, to int) reader {
	return func(th thread, a [6]uint64) (Kind, string) { return kind, th.text(a[from]) + " to " + th.text(a[to]) }
}

// onFile is of a call about an open file, the first argument.
func onFile(kind Kind) reader {
	return func(th thread, a [6]uint64) (Kind, string) { return kind, th.file(a[0]) }
}

// wrote is of a call that writes to an open file, the first argument. data is
// what, nil where a socket takes no such call.
func wrote(data func(thread, [6]uint64) []byte) reader {
	return func(th thread, a [6]uint64) (Kind, string) {
		return th.write(a[0], func() []byte {
			if data == nil {
				return nil
			}
			return data(th, a)
		})
	}
}

// write tells a file from a sysctl, a netlink socket, and what does not count.
func (th thread) write(fd uint64, data func() []byte) (Kind, string) {
	name := th.file(fd)
	switch {
	case strings.HasPrefix(name, "socket:"):
		protocol := th.netlinkProtocol(fd, name)
		if protocol == notNetlink {
			return "", ""
		}
		return netlinkCall(protocol, data())
	case !strings.HasPrefix(name, "/"), strings.HasPrefix(name, "/memfd:"), strings.HasPrefix(name, "/dev/") && !strings.HasPrefix(name, "/dev/shm/"):
		return "", ""
	case strings.HasPrefix(name, sysctls):
		return Sysctl, name
	default:
		return Write, name
	}
}

// sysctls is where nothing is created, whatever an open asks for.
const sysctls = "/proc/sys/"

func (th thread) open(path, flags uint64) (Kind, string) {
	name := th.text(path)
	if flags&(unix.O_CREAT|unix.O_TRUNC) == 0 || strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/dev/null") {
		return "", ""
	}
	return Create, name
}
