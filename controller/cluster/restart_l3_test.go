package cluster

import (
	"net"
	"net/http"
	"testing"

	"fairlead.dev/hack/lab/kube/kubetest"
)

// A controller that starts while the API server is away waits for it.
func TestStartDuringOutage(t *testing.T) {
	e := newEnv(t)
	plane := kubetest.Shared(t)
	e.ok(plane.StopAPIServer())
	opts := quick()
	opts.LeaderElection = true
	opts.HealthAddress = freeAddress(t)
	e.start(opts)
	e.eventually("the controller runs", func() string {
		resp, err := http.Get("http://" + opts.HealthAddress + "/healthz")
		if err != nil {
			return err.Error()
		}
		e.ok(resp.Body.Close())
		return ""
	})
	e.ok(plane.StartAPIServer(t.Context()))
	e.create(newPool("p", "10.14.0.0/24", 26), newNode("n", 0, nil))
	e.leased("n", "p")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
