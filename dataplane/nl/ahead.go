package nl

import "golang.org/x/sys/unix"

// aheadSize has room for four of the largest datagrams that the kernel makes of a
// dump: to hand them over one by one would wake a thread for each, which takes as
// long as to look at half of one.
const aheadSize = readSize + 96<<10

// receiveAhead hands every message that is there to take, and reads on meanwhile:
// the kernel makes a dump within the reads, which takes it longer than take needs.
// It returns why there was nothing more to read, or the first error of take. The
// caller holds c.mu.
func (c *Conn) receiveAhead(take func(unix.NlMsghdr, []byte) error) error {
	read, taken := make(chan []byte), make(chan []byte, 2)
	for range cap(taken) {
		taken <- make([]byte, aheadSize)
	}
	var last, failed error
	go func() { // ends with the first error of a read
		defer close(read)
		for buf := range taken {
			n := 0
			for last == nil && n+readSize <= len(buf) {
				var b []byte
				b, last = c.datagram(buf[n:])
				n += aligned(len(b))
			}
			read <- buf[:n]
			if last != nil {
				return
			}
		}
	}()
	for b := range read {
		if failed == nil {
			failed = walk(b, take)
		}
		taken <- b[:cap(b)]
	}
	if failed != nil {
		return failed
	}
	return last
}
