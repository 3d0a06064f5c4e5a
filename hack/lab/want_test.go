package lab

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCapabilityArgs(t *testing.T) {
	for _, tt := range []struct {
		wants Wants
		want  string
	}{
		{Wants{}, `{}`},
		{
			Wants{
				HostPorts: []HostPort{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, {HostPort: 53, ContainerPort: 5353, Protocol: "udp", HostIP: "192.0.2.1"}},
				Bandwidth: &Bandwidth{IngressRate: 1e6, IngressBurst: 2e6},
				IPs:       []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
				MAC:       "02:00:5e:00:53:01",
			},
			`{"bandwidth":{"ingressRate":1000000,"ingressBurst":2000000,"egressRate":0,"egressBurst":0},` +
				`"ips":["192.0.2.7","2001:db8::7"],"mac":"02:00:5e:00:53:01",` +
				`"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"192.0.2.1"}]}`,
		},
	} {
		got, err := json.Marshal(tt.wants.capabilityArgs())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
	}
}
