package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"fairlead.dev/controller/view"
)

// maxAnswer bounds what is read of an agent's answer: a hundred thousand routes
// are some 30 MB.
const maxAnswer = 256 << 20

// loadAgent asks the agent behind a unix socket.
func loadAgent(ctx context.Context, socket string) (facts, error) {
	v, err := askAgent(ctx, socket)
	if err != nil {
		return facts{}, fmt.Errorf("ask agent at %s: %w", socket, err)
	}
	return fromAgent(v), nil
}

func askAgent(ctx context.Context, socket string) (view.Node, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+view.StatePath, nil)
	if err != nil {
		return view.Node{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return view.Node{}, err
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, 512))
		return view.Node{}, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	var v view.Node
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return view.Node{}, fmt.Errorf("read answer: %w", err)
	}
	return v, nil
}

// fromAgent brings an agent's view into the form of the cluster's facts.
func fromAgent(v view.Node) facts {
	n := node{name: v.Name, report: &v.State, asked: v.BlocksAsked}
	n.decide(v.Spec)
	n.asn, n.routerID = v.State.ASNumber, v.State.RouterID // in force
	f := facts{at: v.At, nodes: []node{n}, routes: append([]view.Route{}, v.Routes...)}
	object := "Node/" + v.Name
	for _, text := range v.Problems {
		f.problems = append(f.problems, problem{Object: object, Condition: "ConfigAccepted", Reason: "Refused", Message: text})
	}
	if v.Source == view.FromSnapshot {
		f.problems = append(f.problems, problem{
			Object: object, Condition: "Connected", Reason: "FromSnapshot",
			Message: "the agent has not reached the API server since it started: it works from its last good snapshot",
		})
	}
	return f
}
