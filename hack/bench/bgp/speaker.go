package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"fairlead.dev/bgp"
	"fairlead.dev/bgp/speaker"
	"fairlead.dev/hack/bench/rig"
)

// SpeakerEnv makes, when set, a program a speaker by Serve: there is one a
// process, and it has to be in a namespace of its own and to be killed.
const SpeakerEnv = "FAIRLEAD_BENCH_SPEAKER"

// Serve applies each bgp.Config that it reads and answers with the error, "" for
// none, until there is no more.
func Serve(in io.Reader, out io.Writer) error {
	s, err := speaker.New(speaker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	configs, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c bgp.Config
		if err := configs.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read config: %w", err)
		}
		var answer string
		if err := s.Apply(context.Background(), c); err != nil {
			answer = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// ours is our speaker in a process of its own.
type ours struct {
	wire    wire
	daemon  *rig.Daemon
	in, out *os.File
	orders  *json.Encoder
	answers *json.Decoder
}

func (s *stage) newOurs() (*ours, error) {
	o := &ours{wire: s.wires[0]}
	if err := o.start(); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, o.Kill)
	return o, nil
}

func (o *ours) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start speaker: %w", err)
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start speaker: %w", err), in.Close())
	}
	defer stdout.Close()
	if o.daemon, err = rig.Start(o.wire.node, []string{SpeakerEnv + "=yes"}, stdin, stdout, self); err != nil {
		return errors.Join(err, in.Close(), out.Close())
	}
	o.in, o.out, o.orders, o.answers = in, out, json.NewEncoder(in), json.NewDecoder(out)
	return nil
}

// Kill is kill -9.
func (o *ours) Kill() {
	o.daemon.Kill()
	_, _ = o.in.Close(), o.out.Close() // nobody is at the other ends
}

// announce has it announce these prefixes and no others.
func (o *ours) announce(restarting bool, prefixes []netip.Prefix) error {
	err := o.orders.Encode(bgp.Config{
		Global: bgp.Global{
			ASN: nodeASN, RouterID: o.wire.nodeAddress(), ListenPort: -1, RestartTime: 30 * time.Second, Restarting: restarting,
		},
		Peers: []bgp.Peer{{
			Address: o.wire.torAddress(), ASN: torASN, HoldTime: 30 * time.Second, ConnectRetry: time.Second,
		}},
		Announce: prefixes,
	})
	var answer string
	if err == nil {
		err = o.answers.Decode(&answer)
	}
	if err == nil && answer != "" {
		err = errors.New(answer)
	}
	if err != nil {
		return fmt.Errorf("tell the speaker: %w", errors.Join(err, o.daemon.Alive()))
	}
	return nil
}
