package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// answer is what a server tells whoever asks.
type answer struct {
	// Local and Remote are the ends of the conversation as the server sees them.
	Local  string `json:"local"`
	Remote string `json:"remote"`
}

// patience with a peer that does not answer.
const patience = 2 * time.Second

// serve answers on a port, TCP and UDP, until ctx ends.
func serve(ctx context.Context, port string) error {
	tcp, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return err
	}
	udp, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", ":"+port)
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-gctx.Done()
		return errors.Join(tcp.Close(), udp.Close())
	})
	g.Go(func() error { return accept(tcp) })
	g.Go(func() error { return reply(udp) })
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// accept answers TCP connections. Their first line is what is wanted: "ask",
// "pour" (the server sends until it cannot), or "drink SKIP DURATION" (it counts).
func accept(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends when the peer goes; the process does not outlive the pod
			defer conn.Close()
			_ = converse(conn)
		}()
	}
}

func converse(conn net.Conn) error {
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	switch {
	case len(words) == 1 && words[0] == "ask":
		return json.NewEncoder(conn).Encode(answer{conn.LocalAddr().String(), conn.RemoteAddr().String()})
	case len(words) == 1 && words[0] == "pour":
		return pour(conn)
	case len(words) == 3 && words[0] == "drink":
		flow, err := drink(in, words[1], words[2])
		if err != nil {
			return err
		}
		if err := json.NewEncoder(conn).Encode(flow); err != nil {
			return err
		}
		// To close with something unread would reset what was just written.
		_, err = io.Copy(io.Discard, in)
		return err
	}
	return fmt.Errorf("want ask, pour or drink, got %q", line)
}

// reply answers datagrams. A socket of all addresses does not tell which one
// was meant, so Local is left out.
func reply(conn net.PacketConn) error {
	b := make([]byte, 1500)
	for {
		_, from, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		data, err := json.Marshal(answer{Remote: from.String()})
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(data, from); err != nil {
			return err
		}
	}
}

// ask prints a server's answer. A lost datagram is sent again.
func ask(ctx context.Context, stdout io.Writer, network, address string) error {
	var err error
	for range 3 {
		var text string
		if text, err = askOnce(ctx, network, address); err == nil {
			_, err = fmt.Fprintln(stdout, text)
			return err
		}
	}
	return err
}

func askOnce(ctx context.Context, network, address string) (string, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "ask\n"); err != nil {
		return "", err
	}
	b := make([]byte, 1500)
	n, err := conn.Read(b)
	return strings.TrimSpace(string(b[:n])), err
}
