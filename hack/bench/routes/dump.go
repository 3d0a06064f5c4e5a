package routes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// dumper reads the main table as fast as the kernel tells it, and looks at
// nothing of it but the end.
type dumper struct {
	fd  int
	buf []byte
}

func (k *kernel) newDumper() (*dumper, error) {
	d := &dumper{buf: make([]byte, 64<<10)}
	err := k.ns.Inside(func() (err error) {
		d.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err == nil {
			err = unix.SetsockoptInt(d.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", peerDump, err)
	}
	return d, nil
}

func (d *dumper) close() { _ = unix.Close(d.fd) } // it was only read

// dump reads both families, as a comparison does. It returns how long that took
// and how many bytes the kernel said.
func (d *dumper) dump() (took time.Duration, said int, err error) {
	start := time.Now()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		n, err := d.family(family)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", peerDump, err)
		}
		said += n
	}
	return time.Since(start), said, nil
}

func (d *dumper) family(family uint8) (said int, err error) {
	b := make([]byte, 0, unix.SizeofNlMsghdr+unix.SizeofRtMsg+8)
	b = binary.NativeEndian.AppendUint32(b, uint32(cap(b)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_GETROUTE)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = append(b, make([]byte, 8)...) // sequence and port
	b = append(b, family)
	b = append(b, make([]byte, unix.SizeofRtMsg-1)...)
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_TABLE)
	b = binary.NativeEndian.AppendUint32(b, unix.RT_TABLE_MAIN)
	if err := unix.Sendto(d.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
		if err != nil {
			return said, err
		}
		said += n
		done, err := ended(d.buf[:n])
		if done || err != nil {
			return said, err
		}
	}
}

// doneSize is that of NLMSG_DONE: a header and an errno.
const doneSize = unix.SizeofNlMsghdr + 4

// ended looks for NLMSG_DONE, which is the last message of a dump, and for an
// error, which is the only one.
func ended(b []byte) (bool, error) {
	if len(b) < doneSize {
		return false, errors.New("an answer that is too short")
	}
	if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
		return true, unix.Errno(-int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])))
	}
	last := b[len(b)-doneSize:]
	return binary.NativeEndian.Uint32(last) == doneSize && binary.NativeEndian.Uint16(last[4:]) == unix.NLMSG_DONE, nil
}
