package learn

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

// SpeakerEnv makes, when set, a program a speaker by Serve, which learns and
// installs nothing.
const SpeakerEnv = "FAIRLEAD_BENCH_LEARNER"

// calm is for how long nothing must have changed before the routes are counted:
// to list them takes the time that learning has.
const calm = 50 * time.Millisecond

// Serve applies the bgp.Config that it reads. Each number that it reads next it
// answers with the time at which so many routes had been learned.
func Serve(in io.Reader, out io.Writer) error {
	s, err := speaker.New(speaker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	var c bgp.Config
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	if err := orders.Decode(&c); err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	if err := s.Apply(context.Background(), c); err != nil {
		return err
	}
	var last time.Time
	for {
		var count int
		if err := orders.Decode(&count); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a count: %w", err)
		}
		if last, err = await(s, count, last); err != nil {
			return err
		}
		if err := answers.Encode(last); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// await returns the time of the last change, when there are so many routes.
func await(s *speaker.Speaker, count int, last time.Time) (time.Time, error) {
	deadline := time.After(bound)
	for {
		select {
		case <-s.Changes():
			last = time.Now()
		case <-time.After(calm):
			routes, err := s.Routes()
			if err != nil || len(routes) >= count {
				return last, err
			}
		case <-deadline:
			return last, fmt.Errorf("not %d routes within %v", count, bound)
		}
	}
}

func (s *stage) startSpeaker() (learner, error) {
	d, orders, answers, err := s.child()
	if err != nil {
		return learner{}, err
	}
	err = orders.Encode(bgp.Config{
		Global: bgp.Global{ASN: nodeASN, RouterID: netip.MustParseAddr(nodeAddress), ListenPort: -1},
		Peers: []bgp.Peer{{
			Address: netip.MustParseAddr(torAddress), ASN: torASN, HoldTime: 90 * time.Second, ConnectRetry: time.Second,
			Accept: []netip.Prefix{netip.MustParsePrefix(podRange)},
		}},
	})
	if err != nil {
		return learner{}, fmt.Errorf("tell the speaker: %w", err)
	}
	return learner{pids: []int{d.PID()}, alive: d.Alive, learned: func(count int) (at time.Time, err error) {
		if err = orders.Encode(count); err == nil {
			err = answers.Decode(&at)
		}
		if err != nil {
			err = fmt.Errorf("ask the speaker: %w", errors.Join(err, d.Alive()))
		}
		return at, err
	}}, nil
}

// child starts this program as a speaker.
func (s *stage) child() (*rig.Daemon, *json.Encoder, *json.Decoder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("find our own program: %w", err)
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start speaker: %w", err)
	}
	defer stdin.Close()
	s.closers = append(s.closers, func() { _ = in.Close() }) // nobody is at the other end
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start speaker: %w", err)
	}
	defer stdout.Close()
	s.closers = append(s.closers, func() { _ = out.Close() })
	d, err := rig.Start(s.node, []string{SpeakerEnv + "=yes"}, stdin, stdout, self)
	if err != nil {
		return nil, nil, nil, err
	}
	s.closers = append(s.closers, d.Kill)
	return d, json.NewEncoder(in), json.NewDecoder(out), nil
}
