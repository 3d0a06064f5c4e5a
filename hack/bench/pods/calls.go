package pods

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"fairlead.dev/hack/lab/cluster"
)

// setUps is what containerd counts, in seconds: its calls of all plugins that a
// pod's network takes, the loopback's included.
const setUps = `containerd_cri_network_plugin_operations_duration_seconds_seconds_%s{operation_type="set_up_pod"} `

// calls of plugins: how many and how long in all, in seconds.
type calls struct{ count, seconds float64 }

func (c calls) plus(o calls) calls  { return calls{c.count + o.count, c.seconds + o.seconds} }
func (c calls) minus(o calls) calls { return calls{c.count - o.count, c.seconds - o.seconds} }

// mean of one call, in milliseconds.
func (c calls) mean() float64 { return 1000 * c.seconds / c.count }

// calls that the side's container runtime has made so far.
func (s side) calls(ctx context.Context) (calls, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = s.ns.Inside(func() (err error) {
				var d net.Dialer
				conn, err = d.DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cluster.ContainerdMetrics+"/v1/metrics", nil)
	if err != nil {
		return calls{}, fmt.Errorf("read metrics of containerd: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return calls{}, fmt.Errorf("read metrics of containerd: %w", err)
	}
	defer resp.Body.Close()
	return parseCalls(resp.Body)
}

// parseCalls reads Prometheus' text. What was never called is not in it.
func parseCalls(text io.Reader) (c calls, err error) {
	values := map[string]*float64{fmt.Sprintf(setUps, "count"): &c.count, fmt.Sprintf(setUps, "sum"): &c.seconds}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		for name, value := range values {
			if text, ok := strings.CutPrefix(lines.Text(), name); ok {
				if *value, err = strconv.ParseFloat(text, 64); err != nil {
					return c, fmt.Errorf("read metrics of containerd: %w", err)
				}
			}
		}
	}
	return c, lines.Err()
}
