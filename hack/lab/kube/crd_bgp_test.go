package kube_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

func TestBGPPeerRules(t *testing.T) {
	const (
		canonical = "must be an IP address in canonical form, such as 192.0.2.1 or 2001:db8::1"
		unicast   = "must be a unicast address"
	)
	with := func(more string) string { return "{address: 192.0.2.1, asNumber: 65001, " + more + "}" }
	checkRules(t, "BGPPeer", "tor", []rule{
		{name: "the least", spec: "{address: 192.0.2.1, asNumber: 65001}"},
		{name: "everything", spec: "{address: '2001:db8::1', asNumber: 4294967294, authSecretRef: {name: tor-key, key: k.1_a}, holdTimeSeconds: 9, keepaliveSeconds: 3, connectRetrySeconds: 1, passive: true, allowLocalAS: 10, nodeSelector: {matchLabels: {a: b}}}"},
		{name: "IPv4 link-local", spec: "{address: 169.254.10.1, asNumber: 65001}"},

		{name: "no address", spec: "{asNumber: 65001}", refused: []string{"spec.address: Required value"}},
		{name: "a name", spec: "{address: tor1, asNumber: 65001}", refused: []string{"spec.address", canonical}},
		{name: "with a prefix length", spec: "{address: 192.0.2.1/32, asNumber: 65001}", refused: []string{"spec.address", canonical}},
		{name: "long-hand IPv6", spec: "{address: '2001:db8:0::1', asNumber: 65001}", refused: []string{"spec.address", canonical}},
		{name: "IPv4-mapped IPv6", spec: "{address: '::ffff:192.0.2.1', asNumber: 65001}", refused: []string{"spec.address", canonical}},
		{name: "with a zone", spec: "{address: 'fe80::1%eth0', asNumber: 65001}", refused: []string{"spec.address", canonical}},
		{name: "IPv6 link-local", spec: "{address: 'fe80::1', asNumber: 65001}", refused: []string{"spec.address", unicast, "names no interface"}},
		{name: "multicast", spec: "{address: 239.1.1.1, asNumber: 65001}", refused: []string{"spec.address", unicast}},
		{name: "unspecified", spec: "{address: '::', asNumber: 65001}", refused: []string{"spec.address", unicast}},

		{name: "no AS", spec: "{address: 192.0.2.1}", refused: []string{"spec.asNumber: Required value"}},
		{name: "AS zero", spec: "{address: 192.0.2.1, asNumber: 0}", refused: []string{"spec.asNumber", "greater than or equal to 1"}},
		{name: "AS beyond 32 bits", spec: "{address: 192.0.2.1, asNumber: 4294967296}", refused: []string{"spec.asNumber", "less than or equal to 4294967294"}},

		{name: "hold time below three keepalives", spec: with("holdTimeSeconds: 29, keepaliveSeconds: 10"), refused: []string{"spec.holdTimeSeconds", "must be at least three times keepaliveSeconds"}},
		{name: "hold time below three default keepalives", spec: with("holdTimeSeconds: 9"), refused: []string{"spec.holdTimeSeconds", "(default 10)"}},
		{name: "hold time of none", spec: with("holdTimeSeconds: 0"), refused: []string{"spec.holdTimeSeconds", "greater than or equal to 3"}},
		{name: "hold time beyond 16 bits", spec: with("holdTimeSeconds: 65536"), refused: []string{"spec.holdTimeSeconds", "less than or equal to 65535"}},
		{name: "keepalive of none", spec: with("keepaliveSeconds: 0"), refused: []string{"spec.keepaliveSeconds", "greater than or equal to 1"}},
		{name: "connect retry of none", spec: with("connectRetrySeconds: 0"), refused: []string{"spec.connectRetrySeconds", "greater than or equal to 1"}},
		{name: "own AS too often", spec: with("allowLocalAS: 11"), refused: []string{"spec.allowLocalAS", "less than or equal to 10"}},

		{name: "Secret without a name", spec: with("authSecretRef: {key: password}"), refused: []string{"spec.authSecretRef.name: Required value"}},
		{name: "Secret of another namespace", spec: with("authSecretRef: {name: other/tor-key}"), refused: []string{"spec.authSecretRef.name"}},
		{name: "Secret key that cannot be", spec: with("authSecretRef: {name: tor-key, key: a/b}"), refused: []string{"spec.authSecretRef.key"}},
		{name: "name too long", object: strings.Repeat("n", 64), spec: "{address: 192.0.2.1, asNumber: 65001}", refused: []string{"metadata.name must have at most 63 characters"}},
		{name: "all changed", spec: "{address: 192.0.2.1, asNumber: 65001}", update: "{address: 192.0.2.2, asNumber: 65002}"},
	})
}

func TestBGPConfigurationRules(t *testing.T) {
	checkRules(t, "BGPConfiguration", "default", []rule{
		{name: "the least", spec: "{}"},
		{name: "everything", spec: "{asNumber: 4200000000, listenPort: 1179, nodeMesh: Disabled, gracefulRestartSeconds: 4095, nodeSelector: {matchLabels: {a: b}}}"},
		{name: "listening nowhere", spec: "{listenPort: -1}"},
		{name: "port zero", spec: "{listenPort: 0}", refused: []string{"spec.listenPort", "must be a TCP port (1 to 65535), or -1 to listen nowhere"}},
		{name: "port below none", spec: "{listenPort: -2}", refused: []string{"spec.listenPort", "greater than or equal to -1"}},
		{name: "port beyond 16 bits", spec: "{listenPort: 65536}", refused: []string{"spec.listenPort", "less than or equal to 65535"}},
		{name: "AS zero", spec: "{asNumber: 0}", refused: []string{"spec.asNumber", "greater than or equal to 1"}},
		{name: "AS of no one", spec: "{asNumber: 4294967295}", refused: []string{"spec.asNumber", "less than or equal to 4294967294"}},
		{name: "unknown mesh", spec: "{nodeMesh: Full}", refused: []string{"spec.nodeMesh", `"Auto", "Enabled", "Disabled"`}},
		{name: "no restart time", spec: "{gracefulRestartSeconds: 0}", refused: []string{"spec.gracefulRestartSeconds", "greater than or equal to 1"}},
		{name: "restart time beyond 12 bits", spec: "{gracefulRestartSeconds: 4096}", refused: []string{"spec.gracefulRestartSeconds", "less than or equal to 4095"}},

		{name: "node address by link", spec: "{nodeAddress: {source: Interface, interfaces: [bond0, 'eth*'], allowedCIDRs: [192.0.2.0/24, '2001:db8::/64']}}"},
		{name: "node address by range", spec: "{nodeAddress: {source: CIDR, cidrs: [192.0.2.0/24]}}"},
		{name: "node address by destination", spec: "{nodeAddress: {source: CanReach, canReach: [192.0.2.1, '2001:db8::1']}}"},
		{name: "unknown source", spec: "{nodeAddress: {source: Guess}}", refused: []string{"spec.nodeAddress.source", `"InternalIP", "Interface", "CIDR", "CanReach"`}},
		{name: "source without its list", spec: "{nodeAddress: {source: Interface}}", refused: []string{"spec.nodeAddress.interfaces", "must be given with source Interface, and only with it"}},
		{name: "list of another source", spec: "{nodeAddress: {cidrs: [192.0.2.0/24]}}", refused: []string{"spec.nodeAddress.cidrs", "must be given with source CIDR, and only with it"}},
		{name: "wildcard in the middle", spec: "{nodeAddress: {source: Interface, interfaces: ['e*0']}}", refused: []string{"spec.nodeAddress.interfaces[0]"}},
		{name: "range with host bits", spec: "{nodeAddress: {source: CIDR, cidrs: [192.0.2.1/24]}}", refused: []string{"spec.nodeAddress.cidrs[0]", "must be a network in canonical form"}},
		{name: "two destinations of one family", spec: "{nodeAddress: {source: CanReach, canReach: [192.0.2.1, 192.0.2.2]}}", refused: []string{"spec.nodeAddress.canReach", "at most one of each family"}},
		{name: "allowed range of garbage", spec: "{nodeAddress: {allowedCIDRs: [all]}}", refused: []string{"spec.nodeAddress.allowedCIDRs[0]", "must be a network in canonical form"}},

		{name: "name too long", object: strings.Repeat("n", 64), spec: "{}", refused: []string{"metadata.name must have at most 63 characters"}},
	})
}

func TestBGPDefaults(t *testing.T) {
	c := admin(t)
	create(t, c, manifest(t, "BGPConfiguration", "defaults", "{}"))
	create(t, c, manifest(t, "BGPPeer", "defaults", "{address: 192.0.2.1, asNumber: 65001, authSecretRef: {name: s}}"))

	var config v1alpha1.BGPConfiguration
	var peer v1alpha1.BGPPeer
	for _, o := range []client.Object{&config, &peer} {
		if err := c.Get(t.Context(), client.ObjectKey{Name: "defaults"}, o); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(v1alpha1.BGPConfigurationSpec{
		ASNumber: v1alpha1.DefaultASN, ListenPort: v1alpha1.DefaultListenPort,
		NodeMesh: v1alpha1.NodeMeshAuto, GracefulRestartSeconds: v1alpha1.DefaultGracefulRestartSeconds,
	}, config.Spec); diff != "" {
		t.Errorf("BGPConfiguration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(v1alpha1.BGPPeerSpec{
		Address: "192.0.2.1", ASNumber: 65001,
		AuthSecretRef:   &v1alpha1.SecretKeyRef{Name: "s", Key: "password"},
		HoldTimeSeconds: 30, KeepaliveSeconds: 10, ConnectRetrySeconds: 5,
	}, peer.Spec); diff != "" {
		t.Errorf("BGPPeer (-want +got):\n%s", diff)
	}
}
