package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
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
	wire wire
	*rig.Child
}

func (s *stage) newOurs() (*ours, error) {
	o := &ours{wire: s.wires[0]}
	if err := o.start(); err != nil {
		return nil, err
	}
	s.ends.Add(func() { o.Kill() }) // of the last that was started
	return o, nil
}

func (o *ours) start() error {
	c, err := rig.StartChild(o.wire.node, SpeakerEnv)
	if err == nil {
		o.Child = c
	}
	return err
}

// announce has it announce these prefixes and no others.
func (o *ours) announce(restarting bool, prefixes []netip.Prefix) error {
	var answer string
	err := o.Tell(bgp.Config{
		Global: bgp.Global{
			ASN: nodeASN, RouterID: o.wire.nodeAddress(), ListenPort: -1, RestartTime: 30 * time.Second, Restarting: restarting,
		},
		Peers: []bgp.Peer{{
			Address: o.wire.torAddress(), ASN: torASN, HoldTime: 30 * time.Second, ConnectRetry: time.Second,
		}},
		Announce: prefixes,
	}, &answer)
	if err == nil && answer != "" {
		err = errors.New(answer)
	}
	return err
}
