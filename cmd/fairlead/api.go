package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"fairlead.dev/api/v1alpha1"
)

// objects are the lists that the API server gave.
type objects struct {
	nodes    corev1.NodeList
	pools    v1alpha1.IPPoolList
	configs  v1alpha1.BGPConfigurationList
	bgpPeers v1alpha1.BGPPeerList
	blocks   v1alpha1.IPBlockList
	bgpNodes v1alpha1.BGPNodeList
	states   v1alpha1.NodeStateList
	// notes say what no object of ours tells.
	notes []string
}

// loadAPI reads the cluster from the API server.
func loadAPI(ctx context.Context, kubeconfig, kubeContext string) (facts, error) {
	cfg, err := restConfig(kubeconfig, kubeContext)
	if err != nil {
		return facts{}, err
	}
	o, err := listObjects(ctx, cfg)
	if err != nil {
		return facts{}, err
	}
	return fromAPI(o, time.Now()), nil
}

// restConfig finds the API server as kubectl does.
func restConfig(kubeconfig, kubeContext string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubeContext}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return cfg, nil
}

func listObjects(ctx context.Context, cfg *rest.Config) (objects, error) {
	var o objects
	// Without one, controller-runtime complains with a stack trace after 30 s.
	log.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return o, fmt.Errorf("register kinds: %w", err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return o, fmt.Errorf("make client of %s: %w", cfg.Host, err)
	}
	for _, l := range []struct {
		kind string
		list client.ObjectList
	}{
		{"Nodes", &o.nodes},
		{"IPPools", &o.pools},
		{"BGPConfigurations", &o.configs},
		{"BGPPeers", &o.bgpPeers},
		{"IPBlocks", &o.blocks},
		{"BGPNodes", &o.bgpNodes},
		{"NodeStates", &o.states},
	} {
		if err := c.List(ctx, l.list); err != nil {
			return o, fmt.Errorf("list %s: %w", l.kind, err)
		}
	}
	if note := policyNote(ctx, c); note != "" {
		o.notes = append(o.notes, note)
	}
	return o, nil
}

// fromAPI joins what the API server holds about each node.
func fromAPI(o objects, now time.Time) facts {
	f := facts{
		at: now, leases: true, notes: o.notes,
		pools: o.pools.Items, configs: o.configs.Items, bgpPeers: o.bgpPeers.Items, blocks: o.blocks.Items,
	}
	byName := map[string]*node{}
	at := func(name string) *node {
		if byName[name] == nil {
			byName[name] = &node{name: name, gone: true}
		}
		return byName[name]
	}
	for i := range o.states.Items {
		s := &o.states.Items[i]
		n := at(s.Name)
		n.report, n.generation = &s.Status, s.Generation
	}
	for _, b := range o.bgpNodes.Items {
		n := at(b.Name)
		n.decide(b.Spec)
	}
	for i := range o.nodes.Items {
		k := &o.nodes.Items[i]
		n := at(k.Name)
		n.gone = false
		f.problems = append(f.problems, n.judge(k)...)
	}
	f.wants = wants(f.blocks, o.states.Items)
	for _, w := range f.wants {
		at(w.node).asked += max(0, w.needs-w.has)
	}
	for _, n := range byName {
		if n.gone {
			n.note = "the Node is gone: last known"
		}
		f.nodes = append(f.nodes, *n)
	}
	sortNodes(f.nodes)
	return f
}

// decide takes over what the controller decided for the node.
func (n *node) decide(spec v1alpha1.BGPNodeSpec) {
	n.asn, n.routerID = spec.ASNumber, spec.RouterID
	n.addresses, n.rule, n.vtep = spec.Addresses, spec.NodeAddress, spec.VTEP
}

// judge says how far the report can be believed, as far as the Node tells.
func (n *node) judge(k *corev1.Node) []problem {
	var ps []problem
	add := func(condition, reason, message string) {
		ps = append(ps, problem{Object: "Node/" + n.name, Condition: condition, Reason: reason, Message: message})
	}
	if n.routerID == "" {
		add("Configured", "NoBGPNode", "the controller has written no BGPNode for it: does fairlead-controller run?")
	}
	// The controller's own judgement is a condition, and so a problem already.
	known := n.report == nil || isWellType(n.report.Conditions, v1alpha1.ConditionAgentReachable)
	switch {
	case n.report == nil:
		n.note = "never reported"
		add("Reported", "NoReport", "its agent has never reported: does its fairlead-agent Pod run?")
	case n.report.NodeUID != "" && n.report.NodeUID != string(k.UID):
		n.note = "reported of an earlier Node of this name: last known"
		if known {
			add("Reported", "EarlierNode", "its agent has not reported since the Node was made anew")
		}
	case !known:
		n.note = "the agent does not answer: last known"
	case silent(k):
		n.note = "the node does not answer: last known"
		add("Reported", "NodeSilent", "its kubelet does not answer, so what its agent reported may be out of date")
	}
	return ps
}

// silent says that Kubernetes has not heard of the node's kubelet for a while.
func silent(k *corev1.Node) bool {
	for _, c := range k.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionUnknown
		}
	}
	return false
}
