package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/controller/view"
)

// serve is an agent's socket with the given answer behind it.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), rundir.AgentSocket)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+view.StatePath, answer)
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	srv.Start()
	t.Cleanup(srv.Close)
	return path
}

func answerWith(t *testing.T, v view.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
}

func runCLI(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"fairlead"}, args...), strings.NewReader(""), &out)
	return out.String(), err
}

func TestSocket(t *testing.T) {
	socket := serve(t, answerWith(t, agentView()))
	for _, name := range []string{"status", "nodes", "peers", "blocks", "routes"} {
		for output, ext := range map[string]string{"table": "txt", "json": "json"} {
			out, err := runCLI(t, name, "--socket", socket, "-o", output)
			if name == "status" != errors.Is(err, errNotWell) {
				t.Errorf("%s: %v", name, err)
			}
			golden(t, "agent-"+name+"."+ext, []byte(out))
		}
	}
}

func TestStatusOfWellAgent(t *testing.T) {
	v := agentView()
	v.Source, v.Problems = "api", nil
	out, err := runCLI(t, "status", "--socket", serve(t, answerWith(t, v)))
	if err != nil {
		t.Errorf("status: %v", err)
	}
	if !strings.HasPrefix(out, "All is well.\n") {
		t.Errorf("status of a well agent:\n%s", out)
	}
}

func TestNodeFlag(t *testing.T) {
	socket := serve(t, answerWith(t, agentView()))
	out, err := runCLI(t, "peers", "--socket", socket, "--node", "n2")
	if err != nil || out != "No sessions.\n" {
		t.Errorf("peers of another node: %q, %v", out, err)
	}
	out, err = runCLI(t, "blocks", "--socket", socket, "--node", "n1")
	if err != nil || !strings.Contains(out, "10.244.1.0/26") {
		t.Errorf("blocks of the node: %q, %v", out, err)
	}
	if _, err = runCLI(t, "routes", "--socket", socket, "--node", "n2"); err == nil || !strings.Contains(err.Error(), "node n1, not n2") {
		t.Errorf("routes of another node's agent: %v", err)
	}
}

func TestErrors(t *testing.T) {
	sick := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not yet started", http.StatusServiceUnavailable)
	})
	garbage := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	stuck := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	missing := filepath.Join(t.TempDir(), "none.sock")
	tests := map[string]struct {
		args []string
		want []string
	}{
		"no such socket":     {[]string{"peers", "--socket", missing}, []string{"ask agent at " + missing, "no such file"}},
		"agent says no":      {[]string{"peers", "--socket", sick}, []string{"503", "not yet started"}},
		"no JSON":            {[]string{"status", "--socket", garbage}, []string{"read answer"}},
		"no answer":          {[]string{"status", "--socket", stuck, "--timeout", "50ms"}, []string{"deadline exceeded"}},
		"routes without":     {[]string{"routes"}, []string{"kubectl -n fairlead-system exec", "spec.nodeName=NODE", "--socket /run/fairlead/agent.sock"}},
		"routes of a node":   {[]string{"routes", "--node", "n7", "--context", "lab"}, []string{"kubectl --context lab -n fairlead-system", "spec.nodeName=n7"}},
		"output":             {[]string{"peers", "-o", "yaml"}, []string{`--output "yaml": must be table or json`}},
		"unknown command":    {[]string{"peer"}, []string{`unknown command "peer"`}},
		"argument":           {[]string{"peers", "n1"}, []string{"n1"}},
		"missing kubeconfig": {[]string{"status", "--kubeconfig", missing}, []string{"read kubeconfig", missing}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := runCLI(t, tc.args...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestPluginName(t *testing.T) {
	for arg0, want := range map[string]string{
		"/usr/local/bin/fairlead": "fairlead peers",
		"/opt/kubectl-fairlead":   "kubectl fairlead peers",
	} {
		var out bytes.Buffer
		if err := run(context.Background(), []string{arg0, "peers", "--help"}, nil, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "\n  "+want+" [flags]") {
			t.Errorf("help as %s lacks %q:\n%s", arg0, want, out.String())
		}
	}
}

func TestExitCode(t *testing.T) {
	var stderr bytes.Buffer
	if code := exitCode(nil, &stderr); code != 0 || stderr.Len() != 0 {
		t.Errorf("well: %d %q", code, stderr.String())
	}
	if code := exitCode(errNotWell, &stderr); code != 1 || stderr.Len() != 0 {
		t.Errorf("not well: %d %q", code, stderr.String())
	}
	if code := exitCode(errors.New("list Nodes: forbidden"), &stderr); code != 2 || stderr.String() != "fairlead: list Nodes: forbidden\n" {
		t.Errorf("error: %d %q", code, stderr.String())
	}
}

// status --wait looks again, after an error too, and ends when all is well.
func TestStatusWaits(t *testing.T) {
	var asked atomic.Int32
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch v := agentView(); asked.Add(1) {
		case 1:
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		case 2:
			answerWith(t, v)(w, r)
		default:
			v.Source, v.Problems, v.State.Conditions = "api", nil, nil
			answerWith(t, v)(w, r)
		}
	})
	if out, err := runCLI(t, "status", "--socket", socket, "--wait", "1m"); err != nil || !strings.HasPrefix(out, "All is well.") {
		t.Errorf("%v:\n%s", err, out)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	asked.Store(0)
	if _, err := runCLI(t, "status", "--socket", socket); err == nil {
		t.Error("without --wait the first answer is not the last")
	}
}
