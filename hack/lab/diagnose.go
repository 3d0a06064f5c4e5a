package lab

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Diagnose writes what a person needs in order to see why a lab is not as it
// should be: processes that ended, sessions as the routers see them, objects, and
// the ends of the logs. It never fails; what cannot be read is said.
func (l *Lab) Diagnose(ctx context.Context, w io.Writer) {
	fmt.Fprintf(w, "--- state of lab %s\n", l.Instance)
	if l.processes == nil {
		return
	}
	if err := l.Dead(); err != nil {
		fmt.Fprintln(w, err)
	}
	l.diagnoseSessions(ctx, w)
	if l.cluster == nil || l.cluster.client == nil {
		return
	}
	out, err := l.Kubectl(ctx, "get", "nodes,ippools,ipblocks,bgpnodes,bgppeers,nodestates", "--request-timeout=5s")
	fmt.Fprintf(w, "$ kubectl get nodes,ippools,ipblocks,bgpnodes,bgppeers,nodestates\n%s", out)
	if err != nil {
		fmt.Fprintln(w, err)
	}
	for _, p := range l.processes.all() {
		if p.Name == controllerProcess || strings.HasSuffix(p.Name, agentProcess("")) {
			fmt.Fprintf(w, "--- end of %s\n%s\n", p.Log, p.Tail())
		}
	}
}

func (l *Lab) diagnoseSessions(ctx context.Context, w io.Writer) {
	owners := l.Topology().Owners()
	for _, r := range l.Routers() {
		sessions, err := r.Sessions(ctx)
		if err != nil {
			fmt.Fprintln(w, err)
			continue
		}
		up, down := 0, []string{}
		for _, s := range sessions {
			if s.State == Established {
				up++
				continue
			}
			down = append(down, fmt.Sprintf("%s (%s) %s", owners[s.Neighbour], s.Neighbour, s.State))
		}
		fmt.Fprintf(w, "%s: %d sessions established; not: %s\n", r.Name, up, strings.Join(down, ", "))
	}
}
