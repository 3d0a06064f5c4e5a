package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/lab/cluster"
)

// staticPod takes a name, a UID and the image.
const staticPod = `apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: default, uid: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: server, image: %s, imagePullPolicy: Never, args: [netexec, --udp-port=-1]}]
`

// static is a pod that a machine's kubelet runs by a file, without the API server.
type static struct {
	machine, name string
	uid           types.UID
	ns            nstest.NS
	addresses     []netip.AddrPort
}

// startStatic writes a pod's file on a machine and returns when the pod has an
// address of each family and takes connections.
func (s *scene) startStatic(t *testing.T, machine, name string) *static {
	t.Helper()
	p := &static{machine: machine, name: name, uid: uuid.NewUUID()}
	file := s.staticFile(p)
	t.Cleanup(func() {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	if err := os.WriteFile(file, []byte(fmt.Sprintf(staticPod, name, p.uid, cluster.ServerImage)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "pod "+name+" on "+machine, func(ctx context.Context) (err error) {
		if p.ns, err = inside(p.uid); err != nil {
			return err
		}
		if p.addresses, err = p.look(); err != nil {
			return err
		}
		return connects(ctx, s.ns(machine), nil, p.addresses)
	})
	return p
}

func (s *scene) staticFile(p *static) string {
	return s.Machine(p.machine).Disk("etc/kubernetes/manifests/" + p.name + ".yaml")
}

// look reads the pod's addresses from its kernel.
func (p *static) look() ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	err := p.ns.Inside(func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		addresses, err := link.Addrs()
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
				all = append(all, netip.AddrPortFrom(p.Addr(), podPort))
			}
		}
		return err
	})
	if err == nil && len(all) != 2 {
		err = fmt.Errorf("%s has the addresses %v", p.name, all)
	}
	return all, err
}

// talkAcross has each pod connect to each.
func (s *scene) talkAcross(t *testing.T, pods []*static) {
	t.Helper()
	for _, from := range pods {
		for _, to := range pods {
			if err := connects(t.Context(), from.ns, nil, to.addresses); err != nil {
				t.Errorf("from %s on %s: %v", from.name, from.machine, err)
			}
		}
	}
}

// endStatic takes a pod's file away and waits until nothing is left of the pod.
func (s *scene) endStatic(t *testing.T, p *static) {
	t.Helper()
	if err := os.Remove(s.staticFile(p)); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "pod "+p.name+" is gone from "+p.machine, func(ctx context.Context) error {
		pids, err := processesOf(p.uid)
		if err != nil || len(pids) > 0 {
			return fmt.Errorf("its processes are %v, %w", pids, err)
		}
		routes, err := s.podRoutes(ctx)
		for _, a := range p.addresses {
			if err == nil && len(routes[a.Addr().String()]) > 0 {
				err = fmt.Errorf("%s has a route", a.Addr())
			}
		}
		return err
	})
}
