package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// flow is what a receiver counted.
type flow struct {
	Bytes int64 `json:"bytes"`
	// Took is how long they took, Skipping how long those before them, in nanoseconds.
	Took     int64 `json:"took"`
	Skipping int64 `json:"skipping"`
}

// chunk of one write; several segments, so that the sender is never the limit.
const chunk = 1 << 16

// pour writes until it cannot any more.
func pour(w io.Writer) error {
	b := make([]byte, chunk)
	for {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// drink reads skip bytes, which a shaper may let pass as its burst, and then
// counts what comes within a time.
func drink(r io.Reader, skip, during string) (flow, error) {
	n, err := strconv.ParseInt(skip, 10, 64)
	if err != nil {
		return flow{}, fmt.Errorf("bytes to skip: %w", err)
	}
	bound, err := time.ParseDuration(during)
	if err != nil {
		return flow{}, fmt.Errorf("time to count: %w", err)
	}
	began := time.Now()
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		return flow{}, fmt.Errorf("skip %d bytes: %w", n, err)
	}
	f := flow{Skipping: time.Since(began).Nanoseconds()}
	b := make([]byte, chunk)
	began = time.Now()
	for time.Since(began) < bound {
		n, err := r.Read(b)
		if err != nil {
			return flow{}, fmt.Errorf("after %d bytes: %w", f.Bytes, err)
		}
		f.Bytes += int64(n)
	}
	f.Took = time.Since(began).Nanoseconds()
	return f, nil
}

// measure prints what a receiver counted: ours of "drink", the server's of "pour".
func measure(ctx context.Context, stdout io.Writer, part, address, skip, during string) error {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	var f flow
	switch part {
	case "drink":
		if _, err := io.WriteString(conn, "pour\n"); err != nil {
			return err
		}
		f, err = drink(conn, skip, during)
	default:
		if _, err := fmt.Fprintln(conn, "drink", skip, during); err != nil {
			return err
		}
		go func() { _ = pour(conn) }() // ends with the connection
		err = json.NewDecoder(bufio.NewReader(conn)).Decode(&f)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(f)
}
