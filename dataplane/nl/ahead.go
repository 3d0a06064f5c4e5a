package nl

import "golang.org/x/sys/unix"

// readAhead takes in a dump until its end or an error. The kernel makes each
// datagram within the read, so the next one is read while one is taken in: a
// comparison takes little longer than the dump by itself then. A dump of one
// datagram, as most are, needs no second reader. The caller holds c.mu.
func (c *Conn) readAhead(d *dumping) error {
	first, err := c.datagram(c.buf)
	if err != nil {
		return err
	}
	if ends(first, d.seq) {
		return walk(first, d.take)
	}
	read, free := make(chan []byte, 1), make(chan []byte, 2)
	var readErr error // until read is closed the reader's
	free <- make([]byte, readSize)
	go func() {
		defer close(read)
		for buf := range free {
			b, err := c.datagram(buf)
			if err != nil {
				readErr = err
				return
			}
			read <- b
			if ends(b, d.seq) {
				return
			}
		}
	}()
	err = walk(first, d.take)
	free <- c.buf
	for b := range read {
		if err == nil {
			err = walk(b, d.take)
		}
		free <- b[:cap(b)]
	}
	if err != nil {
		return err
	}
	return readErr
}

// ends says that a datagram holds the end of the dump of that number, or is one
// after which there is no telling.
func ends(b []byte, seq uint32) (yes bool) {
	err := walk(b, func(h unix.NlMsghdr, _ []byte) error {
		yes = yes || h.Seq == seq && (h.Type == unix.NLMSG_DONE || h.Type == unix.NLMSG_ERROR)
		return nil
	})
	return yes || err != nil
}
