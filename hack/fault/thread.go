package fault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// thread is one that is stopped. What cannot be read of it is empty: a call with
// a wrong pointer fails by itself.
type thread struct {
	id     int
	tracer *tracer
}

func (th thread) proc(elements ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(th.id)}, elements...)...)
}

// readMost is above any netlink batch and any path.
const readMost = 1 << 20

// memory reads so many bytes at an address, or as many as there are.
func (th thread) memory(address, length uint64) []byte {
	f, err := os.Open(th.proc("mem"))
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, min(length, readMost))
	n, err := f.ReadAt(b, int64(address))
	if err != nil && !errors.Is(err, io.EOF) && n == 0 {
		return nil
	}
	return b[:n]
}

// text reads a string that ends in a zero byte.
func (th thread) text(address uint64) string {
	b, _, _ := bytes.Cut(th.memory(address, unix.PathMax), []byte{0})
	return string(b)
}

func (th thread) word(address uint64) uint64 {
	b := th.memory(address, 8)
	if len(b) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(b)
}

// vector reads what the first element of an array of struct iovec points to, if
// there is one: netlink messages are not split.
func (th thread) vector(address, count uint64) []byte {
	if count == 0 {
		return nil
	}
	return th.memory(th.word(address), th.word(address+8))
}

// message reads the data of a struct msghdr.
func (th thread) message(address uint64) []byte {
	const iov, iovlen = 16, 24 // offsets, of 64-bit architectures
	return th.vector(th.word(address+iov), th.word(address+iovlen))
}

// file is the name of an open file.
func (th thread) file(fd uint64) string {
	name, err := os.Readlink(th.proc("fd", strconv.Itoa(int(int32(fd)))))
	if err != nil {
		return ""
	}
	return name
}

// notNetlink is the protocol of other sockets.
const notNetlink = -1

// netlinkProtocol asks the socket itself, by a descriptor of our own.
func (th thread) netlinkProtocol(fd uint64, name string) int {
	protocol, known := th.tracer.netlink[name]
	if !known {
		protocol = notNetlink
		if p, err := th.askProtocol(int(int32(fd))); err == nil {
			protocol = p
		}
		th.tracer.netlink[name] = protocol
	}
	return protocol
}

func (th thread) askProtocol(fd int) (int, error) {
	process, err := th.process()
	if err != nil {
		return 0, err
	}
	pidfd, err := unix.PidfdOpen(process, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	socket, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(socket)
	domain, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_NETLINK {
		return notNetlink, err
	}
	return unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PROTOCOL)
}

// process is the thread's: a pidfd is of no other thread than its leader.
func (th thread) process() (int, error) {
	status, err := os.ReadFile(th.proc("status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nTgid:")
	line, _, _ := strings.Cut(rest, "\n")
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, fmt.Errorf("process of thread %d: %w", th.id, err)
	}
	return id, nil
}
