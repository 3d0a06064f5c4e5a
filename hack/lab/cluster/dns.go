package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"text/template"

	"fairlead.dev/hack/lab/kube"
	"fairlead.dev/hack/lab/topology"
)

//go:embed dns.yaml
var dnsManifest string

// dnsHost is the DNS Service's place in the range of Services, as everywhere.
const dnsHost = 10

// dnsAddress is the DNS Service's address of the cluster's first family.
func (c *Cluster) dnsAddress() netip.Addr {
	a := c.ControlPlane().ServiceRange().Addr()
	for range dnsHost {
		a = a.Next()
	}
	return a
}

// applyDNS makes CoreDNS a Deployment and its Service, which nodes' pods ask.
func (c *Cluster) applyDNS(ctx context.Context) error {
	var b bytes.Buffer
	err := template.Must(template.New("dns").Parse(dnsManifest)).Execute(&b, map[string]any{
		"Address": c.dnsAddress(), "DualStack": len(c.Topology().Families()) > 1,
		"Family": map[topology.Family]string{topology.V4: "IPv4", topology.V6: "IPv6"}[c.Topology().Families()[0]],
	})
	if err != nil {
		return fmt.Errorf("render the manifest of DNS: %w", err)
	}
	objects, err := kube.Manifests(&b)
	if err != nil {
		return err
	}
	return c.applyObjects(ctx, objects...)
}
