package node

import (
	"math/rand/v2"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// longestRetry is the most between two tries to reach the API server, less the jitter.
// A kubelet asks no more rarely, so a server that is about to come back must bear it.
const longestRetry = 10 * time.Second

// retryPause is what to wait after that many failures. It grows from first.
func retryPause(first time.Duration, failures int) time.Duration {
	pause := min(first<<min(failures, 16), max(longestRetry, first))
	return pause + rand.N(pause/4+1)
}

// patient tries to read until the API server answers. A reflector by itself would wait
// 30 to 60 s between two tries, and for that long after an outage the node would
// hear of no new block and no new peer.
type patient struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for failures := 0; ; failures++ {
		resp, err := p.next.RoundTrip(req)
		if err == nil || req.Body != nil || !sleep(req.Context(), retryPause(time.Second, failures)) {
			return resp, err
		}
	}
}

// patiently is a configuration for watches, of which nobody awaits the answer.
func patiently(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return patient{next} })
	return cfg
}
