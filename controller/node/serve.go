package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"fairlead.dev/controller/view"
)

// shutdownTime bounds the end of a server; nobody waits long for an answer.
const shutdownTime = 2 * time.Second

// ListenSocket listens on the agent's unix socket, which is root's alone. A
// socket left by an earlier agent is replaced: Own keeps a living one out.
func ListenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the agent's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the agent's socket: %w", err), l.Close())
	}
	return l, nil
}

// SocketHandler answers the CLI.
func (a *Agent) SocketHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+view.StatePath, func(w http.ResponseWriter, _ *http.Request) {
		v := a.View()
		if v == nil {
			http.Error(w, "no sync has finished yet: try again in a moment", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // a reader that left needs no answer
	})
	return mux
}

// HealthHandler answers /healthz (the process lives) and /readyz (see Ready).
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// Serve serves h on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := s.Shutdown(stop)
	<-failed
	return err
}
