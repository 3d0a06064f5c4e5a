package cluster

import (
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
	opts.HealthAddress = kubetest.FreeAddress(t)
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
