package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/hack/lab/topology"
)

// podBound is how long AddPod tries again while the plugin says "try again later".
const podBound = 30 * time.Second

// Pod is a network namespace that a node's container runtime has wired.
type Pod struct {
	Name        string       `json:"name"`
	Node        string       `json:"node"`
	ContainerID string       `json:"containerID"`
	NetNS       string       `json:"netns"`
	Addresses   []netip.Addr `json:"addresses"`
	// Wants is what AddPodWanting was given; the runtime says it again at each call.
	Wants Wants `json:"wants"`
}

// podInterface is the name that kubelet asks for.
const podInterface = "eth0"

// Address is the pod's address of a family; invalid if it has none.
func (p Pod) Address(f topology.Family) netip.Addr {
	for _, a := range p.Addresses {
		if topology.FamilyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

// Role is the pod's name among the lab's namespaces, for Exec and Ping.
func (p Pod) Role() string { return podRole(p.Name) }

func podRole(name string) string { return "pod-" + name }

// AddPod makes a pod's namespace and has the node's CNI plugins wire it. Like a
// kubelet it tries again while the node has no CNI configuration, or the plugin
// says "try again later" (code 11), for at most 30 s. On error nothing of the pod
// is left.
func (l *Lab) AddPod(ctx context.Context, node, name string) (Pod, error) {
	return l.AddPodWanting(ctx, node, name, Wants{})
}

// AddPodWanting is AddPod of a pod that asks for more than an address.
func (l *Lab) AddPodWanting(ctx context.Context, node, name string, wants Wants) (Pod, error) {
	var pod Pod
	start := time.Now()
	err := poll(ctx, podBound, pollInterval, "pod "+name, func(ctx context.Context) error {
		var err error
		pod, err = l.addPodOnce(ctx, node, name, wants)
		if err != nil && !isTryAgain(err) && !errors.Is(err, errNoNetwork) {
			return permanent{err}
		}
		return err
	})
	l.log.Debug("pod added", "node", node, "pod", name, "took", time.Since(start), "err", err)
	return pod, err
}

// AddPodOnce is AddPod without another try.
func (l *Lab) AddPodOnce(ctx context.Context, node, name string) (Pod, error) {
	return l.addPodOnce(ctx, node, name, Wants{})
}

func (l *Lab) addPodOnce(ctx context.Context, node, name string, wants Wants) (Pod, error) {
	n := l.Node(node)
	runtime, list, err := n.runtime()
	if err != nil {
		return Pod{}, err
	}
	pod := Pod{
		Name: name, Node: node, ContainerID: "lab-" + name + "-" + randomName(), NetNS: l.NSName(podRole(name)), Wants: wants,
	}
	if _, err := run(ctx, "", "ip", "netns", "add", pod.NetNS); err != nil {
		return Pod{}, fmt.Errorf("add pod %s: %w", name, err)
	}
	err = l.wire(ctx, runtime, list, &pod)
	if err != nil {
		undo := context.WithoutCancel(ctx)
		err = errors.Join(err, runtime.DelNetworkList(undo, list, pod.config()), removeNamespaces(undo, []string{pod.NetNS}))
		return Pod{}, fmt.Errorf("add pod %s on %s: %w", name, node, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pods = append(l.pods, pod)
	return pod, l.saveLocked()
}

func (l *Lab) wire(ctx context.Context, runtime *libcni.CNIConfig, list *libcni.NetworkConfigList, pod *Pod) error {
	if _, err := run(ctx, "", "ip", "-n", pod.NetNS, "link", "set", "lo", "up"); err != nil {
		return err
	}
	out, err := runtime.AddNetworkList(ctx, list, pod.config())
	if err != nil {
		return err
	}
	result, err := types100.NewResultFromResult(out)
	if err != nil {
		return fmt.Errorf("result of ADD: %w", err)
	}
	for _, ip := range result.IPs {
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			pod.Addresses = append(pod.Addresses, a.Unmap())
		}
	}
	slices.SortFunc(pod.Addresses, netip.Addr.Compare)
	return nil
}

func (p Pod) config() *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: p.ContainerID, NetNS: nsPath(p.NetNS), IfName: podInterface,
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", "default"},
			{"K8S_POD_NAME", p.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", p.ContainerID},
			{"K8S_POD_UID", p.ContainerID},
		},
		CapabilityArgs: p.Wants.capabilityArgs(),
	}
}

// chosen is the configuration that a runtime takes for what comes after ADD.
type chosen func(runtime *libcni.CNIConfig, present *libcni.NetworkConfigList, pod Pod) (*libcni.NetworkConfigList, error)

// present is the node's configuration of now, which containerd takes.
func present(_ *libcni.CNIConfig, list *libcni.NetworkConfigList, _ Pod) (*libcni.NetworkConfigList, error) {
	return list, nil
}

// asAdded is the configuration that the pod was added with, which the runtime has
// kept. CRI-O takes it.
func asAdded(runtime *libcni.CNIConfig, list *libcni.NetworkConfigList, pod Pod) (*libcni.NetworkConfigList, error) {
	kept, _, err := runtime.GetNetworkListCachedConfig(list, pod.config())
	if err != nil {
		return nil, fmt.Errorf("configuration that the runtime has kept: %w", err)
	}
	return libcni.NetworkConfFromBytes(kept)
}

// DelPod has the plugins of the node's present configuration unwire the pod, as
// containerd does, and removes its namespace.
func (l *Lab) DelPod(ctx context.Context, name string) error { return l.delPod(ctx, name, present) }

// DelPodAsAdded is DelPod by the configuration that the pod was added with, as
// CRI-O does.
func (l *Lab) DelPodAsAdded(ctx context.Context, name string) error {
	return l.delPod(ctx, name, asAdded)
}

func (l *Lab) delPod(ctx context.Context, name string, choose chosen) error {
	err := l.with(name, choose, func(runtime *libcni.CNIConfig, list *libcni.NetworkConfigList, pod Pod) error {
		if err := runtime.DelNetworkList(ctx, list, pod.config()); err != nil {
			return err
		}
		return removeNamespaces(ctx, []string{pod.NetNS})
	})
	if err != nil {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pods = slices.DeleteFunc(l.pods, func(p Pod) bool { return p.Name == name })
	return l.saveLocked()
}

// CheckPod runs the CHECK of the plugins of the node's present configuration on a pod.
func (l *Lab) CheckPod(ctx context.Context, name string) error {
	return l.checkPod(ctx, name, present)
}

// CheckPodAsAdded is CheckPod by the configuration that the pod was added with.
func (l *Lab) CheckPodAsAdded(ctx context.Context, name string) error {
	return l.checkPod(ctx, name, asAdded)
}

func (l *Lab) checkPod(ctx context.Context, name string, choose chosen) error {
	return l.with(name, choose, func(runtime *libcni.CNIConfig, list *libcni.NetworkConfigList, pod Pod) error {
		return runtime.CheckNetworkList(ctx, list, pod.config())
	})
}

func (l *Lab) with(name string, choose chosen, do func(*libcni.CNIConfig, *libcni.NetworkConfigList, Pod) error) error {
	pod, err := l.Pod(name)
	if err != nil {
		return err
	}
	runtime, list, err := l.Node(pod.Node).runtime()
	if err != nil {
		return err
	}
	if list, err = choose(runtime, list, pod); err != nil {
		return err
	}
	return do(runtime, list, pod)
}

// Pod finds a pod by name.
func (l *Lab) Pod(name string) (Pod, error) {
	for _, p := range l.Pods() {
		if p.Name == name {
			return p, nil
		}
	}
	return Pod{}, fmt.Errorf("pod %q: not one of the lab's", name)
}

// Pods are all pods, in the order in which they came.
func (l *Lab) Pods() []Pod {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pods)
}

// isTryAgain says whether a plugin asks to be called again later.
func isTryAgain(err error) bool {
	var e *types.Error
	return errors.As(err, &e) && e.Code == types.ErrTryAgainLater
}
