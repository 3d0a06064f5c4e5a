package learn

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
	c, err := rig.StartChild(s.node, SpeakerEnv)
	if err != nil {
		return learner{}, err
	}
	s.ends.Add(c.Kill)
	err = c.Tell(bgp.Config{
		Global: bgp.Global{ASN: nodeASN, RouterID: netip.MustParseAddr(nodeAddress), ListenPort: -1},
		Peers: []bgp.Peer{{
			Address: netip.MustParseAddr(torAddress), ASN: torASN, HoldTime: 90 * time.Second, ConnectRetry: time.Second,
			Accept: []netip.Prefix{netip.MustParsePrefix(podRange)},
		}},
	}, nil)
	if err != nil {
		return learner{}, err
	}
	return learner{pids: []int{c.PID()}, alive: c.Alive, learned: func(count int) (at time.Time, err error) {
		err = c.Tell(count, &at)
		return at, err
	}}, nil
}
