package kube_test

import (
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/api/v1alpha1"
)

func TestIPPoolRules(t *testing.T) {
	const (
		canonical = "must be a network in canonical form, such as 10.244.0.0/16"
		unicast   = "must be a range of unicast addresses"
		immutable = "is immutable"
	)
	checkRules(t, "IPPool", "pool", []rule{
		{name: "the least", spec: "{cidr: 10.244.0.0/16}"},
		{name: "the least, IPv6", spec: "{cidr: 'fd00:10:244::/64'}"},
		{name: "everything", spec: "{cidr: 10.244.0.0/16, blockSize: 27, reserved: [10.244.0.0/28, 10.244.9.9/32], advertise: false, maxBlocksPerNode: 64, state: Draining, nodeSelector: {matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [v]}, {key: l, operator: DoesNotExist}]}}"},

		{name: "no cidr", spec: "{blockSize: 26}", refused: []string{"spec.cidr: Required value"}},
		{name: "not a cidr", spec: "{cidr: pods}", refused: []string{"spec.cidr", canonical}},
		{name: "an address", spec: "{cidr: 10.244.0.0}", refused: []string{"spec.cidr", canonical}},
		{name: "host bits", spec: "{cidr: 10.244.0.1/16}", refused: []string{"spec.cidr", canonical}},
		{name: "long-hand IPv6", spec: "{cidr: 'fd00:0:0::/64'}", refused: []string{"spec.cidr", canonical}},
		{name: "capital IPv6", spec: "{cidr: 'FD00::/64'}", refused: []string{"spec.cidr", canonical}},
		{name: "IPv4-mapped IPv6", spec: "{cidr: '::ffff:10.0.0.0/104'}", refused: []string{"spec.cidr", canonical}},
		{name: "range that holds the IPv4-mapped ones", spec: "{cidr: '::/64'}", refused: []string{"spec.cidr", unicast}},
		{name: "range whose block names would begin with a dash", spec: "{cidr: '::1:0:0:0/80'}", refused: []string{"spec.cidr", unicast}},
		{name: "everything there is", spec: "{cidr: 0.0.0.0/0}", refused: []string{"spec.cidr", unicast}},
		{name: "loopback", spec: "{cidr: 127.0.0.0/8}", refused: []string{"spec.cidr", unicast}},
		{name: "link-local", spec: "{cidr: 'fe80::/64'}", refused: []string{"spec.cidr", unicast}},
		{name: "multicast", spec: "{cidr: 224.0.0.0/16}", refused: []string{"spec.cidr", unicast}},
		{name: "change of cidr", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.245.0.0/16}", refused: []string{"spec.cidr", immutable, "create another pool"}},

		{name: "block of a whole pool", spec: "{cidr: 10.244.0.0/26}"},
		{name: "block larger than the pool", spec: "{cidr: 10.244.0.0/26, blockSize: 25}", refused: []string{"spec.blockSize", "must not be larger than the pool", "at least the prefix length of cidr 10.244.0.0/26"}},
		{name: "default block larger than the pool", spec: "{cidr: 10.244.0.0/28}", refused: []string{"spec.blockSize", "the default block (26 for IPv4, 122 for IPv6) must not be larger than the pool", "at least the prefix length of cidr 10.244.0.0/28"}},
		{name: "small pool with its block size", spec: "{cidr: 10.244.0.0/28, blockSize: 28}"},
		{name: "small IPv6 pool with its block size", spec: "{cidr: 'fd00::/126', blockSize: 126}"},
		{name: "IPv6 default block larger than the pool", spec: "{cidr: 'fd00::/124'}", refused: []string{"spec.blockSize", "must not be larger than the pool"}},
		{name: "IPv4 lowest", spec: "{cidr: 10.0.0.0/8, blockSize: 20}"},
		{name: "IPv4 highest", spec: "{cidr: 10.244.0.0/24, blockSize: 32}"},
		{name: "IPv4 too low", spec: "{cidr: 10.0.0.0/8, blockSize: 19}", refused: []string{"spec.blockSize"}},
		{name: "IPv4 too high", spec: "{cidr: 10.244.0.0/16, blockSize: 33}", refused: []string{"spec.blockSize", "must be 20 to 32 for the IPv4 cidr 10.244.0.0/16"}},
		{name: "IPv6 lowest", spec: "{cidr: 'fd00::/64', blockSize: 112}"},
		{name: "IPv6 highest", spec: "{cidr: 'fd00::/64', blockSize: 128}"},
		{name: "IPv6 too low", spec: "{cidr: 'fd00::/64', blockSize: 111}", refused: []string{"spec.blockSize", "must be 112 to 128 for the IPv6 cidr fd00::/64"}},
		{name: "IPv6 too high", spec: "{cidr: 'fd00::/64', blockSize: 129}", refused: []string{"spec.blockSize", "less than or equal to 128"}},
		{name: "change of blockSize", spec: "{cidr: 10.244.0.0/16, blockSize: 26}", update: "{cidr: 10.244.0.0/16, blockSize: 27}", refused: []string{"spec.blockSize", immutable}},
		{name: "blockSize given later", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, blockSize: 28}", refused: []string{"spec.blockSize", immutable, "left to its default"}},
		{name: "blockSize taken away", spec: "{cidr: 10.244.0.0/16, blockSize: 28}", update: "{cidr: 10.244.0.0/16}", refused: []string{"spec.blockSize", immutable}},
		{name: "blockSize kept", spec: "{cidr: 10.244.0.0/16, blockSize: 28}", update: "{cidr: 10.244.0.0/16, blockSize: 28, state: Disabled}"},

		{name: "reserved outside cidr", spec: "{cidr: 10.244.0.0/16, reserved: [10.244.0.0/28, 10.245.0.0/28]}", refused: []string{"spec.reserved", "must lie inside cidr 10.244.0.0/16"}},
		{name: "reserved larger than cidr", spec: "{cidr: 10.244.0.0/16, reserved: [10.0.0.0/8]}", refused: []string{"spec.reserved", "must lie inside cidr"}},
		{name: "reserved of the other family", spec: "{cidr: 10.244.0.0/16, reserved: ['fd00::/64']}", refused: []string{"spec.reserved", "must lie inside cidr"}},
		{name: "reserved not canonical", spec: "{cidr: 10.244.0.0/16, reserved: [10.244.0.1/28]}", refused: []string{"spec.reserved[0]", "such as 10.244.0.0/28 or, for one address, 10.244.0.1/32"}},
		{name: "reserved an address", spec: "{cidr: 10.244.0.0/16, reserved: [10.244.0.1]}", refused: []string{"spec.reserved[0]", "for one address, 10.244.0.1/32"}},
		{name: "reserved twice", spec: "{cidr: 10.244.0.0/16, reserved: [10.244.0.0/28, 10.244.0.0/28]}", refused: []string{"spec.reserved[1]", "Duplicate value"}},
		{name: "reserved changed", spec: "{cidr: 10.244.0.0/16, reserved: [10.244.0.0/28]}", update: "{cidr: 10.244.0.0/16, reserved: [10.244.0.16/28]}"},
		{name: "as much reserved as may be", spec: "{cidr: 10.244.0.0/16, reserved: [" + addresses(64) + "]}"},
		{name: "too much reserved", spec: "{cidr: 10.244.0.0/16, reserved: [" + addresses(65) + "]}", refused: []string{"spec.reserved", "at most 64 items"}},

		{name: "advertise turned off", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, advertise: false}", refused: []string{"spec.advertise", immutable, "create another pool"}},
		{name: "advertise turned on", spec: "{cidr: 10.244.0.0/16, advertise: false}", update: "{cidr: 10.244.0.0/16, advertise: true}", refused: []string{"spec.advertise", immutable}},
		{name: "advertise taken away", spec: "{cidr: 10.244.0.0/16, advertise: false}", update: "{cidr: 10.244.0.0/16}", refused: []string{"spec.advertise", immutable}},
		{name: "advertise said later", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, advertise: true}"},
		{name: "advertise kept off", spec: "{cidr: 10.244.0.0/16, advertise: false}", update: "{cidr: 10.244.0.0/16, advertise: false, state: Draining}"},

		{name: "adopted", spec: "{cidr: 10.244.0.0/16, source: NodeSpec, blockSize: 24}"},
		{name: "adopted, IPv6", spec: "{cidr: 'fd00:10:244::/48', source: NodeSpec, blockSize: 64}"},
		{name: "adopted, IPv6 too low", spec: "{cidr: 'fd00:10:244::/48', source: NodeSpec, blockSize: 63}", refused: []string{"spec.blockSize", "must be 64 to 128 for the IPv6 cidr"}},
		{name: "adopted without a block size", spec: "{cidr: 10.244.0.0/16, source: NodeSpec}", refused: []string{"spec.blockSize", "must be set in a pool with source NodeSpec"}},
		{name: "adopted for no pod", spec: "{cidr: 10.244.0.0/16, source: NodeSpec, blockSize: 24, advertise: false}", refused: []string{"spec.source", "must be Managed in a pool with advertise false"}},
		{name: "source said", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, source: Managed}"},
		{name: "source changed", spec: "{cidr: 10.244.0.0/16, blockSize: 24}", update: "{cidr: 10.244.0.0/16, blockSize: 24, source: NodeSpec}", refused: []string{"spec.source", immutable}},
		{name: "source changed back", spec: "{cidr: 10.244.0.0/16, blockSize: 24, source: NodeSpec}", update: "{cidr: 10.244.0.0/16, blockSize: 24}", refused: []string{"spec.source", immutable}},
		{name: "unknown source", spec: "{cidr: 10.244.0.0/16, source: Annotations}", refused: []string{"spec.source", `"Managed", "NodeSpec"`}},

		{name: "encapsulation turned on and off", spec: "{cidr: 10.244.0.0/16, encapsulation: VXLAN}", update: "{cidr: 10.244.0.0/16, encapsulation: VXLANCrossSubnet}"},
		{name: "unknown encapsulation", spec: "{cidr: 10.244.0.0/16, encapsulation: IPIP}", refused: []string{"spec.encapsulation", `"None", "VXLAN", "VXLANCrossSubnet"`}},
		{name: "NAT turned on", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, natOutgoing: true}"},
		{name: "encapsulation of no pod", spec: "{cidr: 10.244.0.0/16, advertise: false, encapsulation: VXLAN}", refused: []string{"spec.encapsulation", "must be None in a pool with advertise false"}},
		{name: "NAT of no pod", spec: "{cidr: 10.244.0.0/16, advertise: false, natOutgoing: true}", refused: []string{"spec.natOutgoing", "must be false in a pool with advertise false"}},

		{name: "one block a node", spec: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 1}"},
		{name: "no block a node", spec: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 0}", refused: []string{"spec.maxBlocksPerNode", "greater than or equal to 1"}},
		{name: "too many blocks a node", spec: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 65}", refused: []string{"spec.maxBlocksPerNode", "less than or equal to 64"}},
		{name: "more blocks a node", spec: "{cidr: 10.244.0.0/16}", update: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 8}"},
		{name: "fewer blocks a node", spec: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 8}", update: "{cidr: 10.244.0.0/16, maxBlocksPerNode: 2}"},

		{name: "unknown state", spec: "{cidr: 10.244.0.0/16, state: Off}", refused: []string{"spec.state", `"Active", "Draining", "Disabled"`}},
		{name: "longest name", object: strings.Repeat("n", 63), spec: "{cidr: 10.244.0.0/16}"},
		{name: "name too long", object: strings.Repeat("n", 64), spec: "{cidr: 10.244.0.0/16}", refused: []string{"metadata.name must have at most 63 characters"}},
	})
}

// The selector is one type in three kinds, each with the rules of its own field.
func TestNodeSelectorRules(t *testing.T) {
	for kind, rest := range map[string]string{"IPPool": "cidr: 10.244.0.0/16", "BGPPeer": "address: 192.0.2.1, asNumber: 65001", "BGPConfiguration": "asNumber: 65001"} {
		with := func(selector string) string { return "{" + rest + ", nodeSelector: " + selector + "}" }
		refused := []string{"spec.nodeSelector", "an operator In or NotIn with values, or Exists or DoesNotExist without"}
		t.Run(kind, func(t *testing.T) {
			checkRules(t, kind, "selecting", []rule{
				{name: "empty", spec: with("{}")},
				{name: "labels", spec: with("{matchLabels: {fairlead.dev/rack: r1}}")},
				{name: "In", spec: with("{matchExpressions: [{key: k, operator: In, values: [a, b]}]}")},
				{name: "In without values", spec: with("{matchExpressions: [{key: k, operator: In}]}"), refused: refused},
				{name: "NotIn with none", spec: with("{matchExpressions: [{key: k, operator: NotIn, values: []}]}"), refused: refused},
				{name: "Exists", spec: with("{matchExpressions: [{key: k, operator: Exists}]}")},
				{name: "Exists with values", spec: with("{matchExpressions: [{key: k, operator: Exists, values: [a]}]}"), refused: refused},
				{name: "unknown operator", spec: with("{matchExpressions: [{key: k, operator: Like, values: [a]}]}"), refused: refused},
				{name: "too many", spec: with("{matchExpressions: [" + strings.Repeat("{key: k, operator: Exists},", 33) + "]}"), refused: []string{"spec.nodeSelector", "at most 32 matchLabels and 32 matchExpressions"}},
			})
		})
	}
}

// What the API server fills in is what the helpers of the API package say.
func TestIPPoolDefaults(t *testing.T) {
	c := admin(t)
	pool := &v1alpha1.IPPool{Spec: v1alpha1.IPPoolSpec{CIDR: "fd00:9::/64"}}
	pool.Name = "defaults"
	want := pool.Spec
	create(t, c, pool)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
		t.Fatal(err)
	}
	if pool.Spec.Advertise == nil || *pool.Spec.Advertise != want.EffectiveAdvertise() {
		t.Errorf("advertise %v, want %v", pool.Spec.Advertise, want.EffectiveAdvertise())
	}
	if pool.Spec.MaxBlocksPerNode == nil || int(*pool.Spec.MaxBlocksPerNode) != want.EffectiveMaxBlocksPerNode() {
		t.Errorf("maxBlocksPerNode %v, want %d", pool.Spec.MaxBlocksPerNode, want.EffectiveMaxBlocksPerNode())
	}
	if pool.Spec.State != want.EffectiveState() {
		t.Errorf("state %q, want %q", pool.Spec.State, want.EffectiveState())
	}
}

// addresses lists n single addresses of 10.244.0.0/16.
func addresses(n int) string {
	var list []string
	for i := range n {
		list = append(list, "10.244.1."+strconv.Itoa(i)+"/32")
	}
	return strings.Join(list, ", ")
}
