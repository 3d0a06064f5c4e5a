package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"fairlead.dev/hack/lab"
	"fairlead.dev/hack/lab/topology"
)

// podConfig is a CRI PodSandboxConfig, as far as we use it.
type podConfig struct {
	Metadata    metadata          `json:"metadata"`
	Hostname    string            `json:"hostname"`
	DNS         dns               `json:"dns_config"`
	Ports       []hostPort        `json:"port_mappings,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       podLinux          `json:"linux"`
}

type metadata struct {
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

type dns struct {
	Servers []string `json:"servers"`
}

type podLinux struct {
	CgroupParent string `json:"cgroup_parent"`
}

// hostPort is a CRI PortMapping.
type hostPort struct {
	Protocol      string `json:"protocol"`
	ContainerPort int    `json:"container_port"`
	HostPort      int    `json:"host_port"`
}

// sandbox is a pod that containerd runs.
type sandbox struct {
	id     string
	config podConfig
	addrs  []netip.Addr
	netns  string
}

func (b sandbox) address(f topology.Family) netip.Addr {
	for _, a := range b.addrs {
		if topology.FamilyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

func (c *containerd) podConfig(name string) podConfig {
	return podConfig{
		Metadata: metadata{Name: name, UID: "uid-" + name, Namespace: "default"}, Hostname: name,
		// Else containerd copies the host's file, wherever that links to.
		DNS: dns{Servers: []string{"192.0.2.53"}}, Linux: podLinux{CgroupParent: "/" + lab.CgroupName(c.scene.Instance)},
	}
}

// run runs a pod's sandbox and asks for its addresses.
func (c *containerd) run(ctx context.Context, config podConfig) (sandbox, error) {
	var made struct{ PodSandboxID string }
	if err := c.call(ctx, "RunPodSandbox", map[string]any{"config": config}, &made); err != nil {
		return sandbox{}, err
	}
	b := sandbox{id: made.PodSandboxID, config: config}
	status, err := c.status(ctx, b.id)
	b.addrs, b.netns = status.addrs, status.netns
	return b, err
}

// sandboxStatus is what PodSandboxStatus says.
type sandboxStatus struct {
	state string
	addrs []netip.Addr
	netns string
}

func (c *containerd) status(ctx context.Context, id string) (sandboxStatus, error) {
	var answer struct {
		Status struct {
			State   string
			Network struct {
				IP            string
				AdditionalIPs []struct{ IP string } `json:"additionalIps"`
			}
		}
		Info struct{ Info string }
	}
	if err := c.call(ctx, "PodSandboxStatus", map[string]any{"pod_sandbox_id": id, "verbose": true}, &answer); err != nil {
		return sandboxStatus{}, err
	}
	s := sandboxStatus{state: answer.Status.State}
	texts := []string{answer.Status.Network.IP}
	for _, more := range answer.Status.Network.AdditionalIPs {
		texts = append(texts, more.IP)
	}
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return s, fmt.Errorf("addresses of sandbox %s: %w", id, err)
		}
		s.addrs = append(s.addrs, a)
	}
	slices.SortFunc(s.addrs, netip.Addr.Compare)
	var info struct {
		RuntimeSpec struct {
			Linux struct {
				Namespaces []struct{ Type, Path string }
			}
		}
	}
	if err := json.Unmarshal([]byte(answer.Info.Info), &info); err != nil {
		return s, fmt.Errorf("info of sandbox %s: %w", id, err)
	}
	for _, ns := range info.RuntimeSpec.Linux.Namespaces {
		if ns.Type == "network" {
			s.netns = ns.Path
		}
	}
	return s, nil
}

// serve starts a container in the pod that serves on port.
func (c *containerd) serve(ctx context.Context, b sandbox) error {
	var made struct{ ContainerID string }
	err := c.call(ctx, "CreateContainer", map[string]any{
		"pod_sandbox_id": b.id, "sandbox_config": b.config,
		"config": map[string]any{
			"metadata": metadata{Name: "serve"}, "image": map[string]any{"image": image},
			"command": []string{"/actor", "serve", port}, "linux": map[string]any{},
		},
	}, &made)
	if err != nil {
		return err
	}
	return c.call(ctx, "StartContainer", map[string]any{"container_id": made.ContainerID}, &struct{}{})
}

// remove stops a pod and removes it, as kubelet does with one that is deleted,
// which may stop one several times.
func (c *containerd) remove(ctx context.Context, b sandbox) error {
	request := map[string]any{"pod_sandbox_id": b.id}
	for _, method := range []string{"StopPodSandbox", "StopPodSandbox", "RemovePodSandbox"} {
		if err := c.call(ctx, method, request, &struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

// known are the IDs of the pods that containerd has.
func (c *containerd) known(ctx context.Context) ([]string, error) {
	var answer struct{ Items []struct{ ID string } }
	err := c.call(ctx, "ListPodSandbox", map[string]any{}, &answer)
	var ids []string
	for _, item := range answer.Items {
		ids = append(ids, item.ID)
	}
	return ids, err
}

// pod runs a pod whose server answers, gone at the end of the test if not before.
func (c *containerd) pod(t *testing.T, config podConfig) sandbox {
	t.Helper()
	b, err := c.run(t.Context(), config)
	if err == nil {
		err = c.serve(t.Context(), b)
	}
	if b.id != "" {
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			ids, err := c.known(ctx)
			if err == nil && slices.Contains(ids, b.id) {
				err = c.remove(ctx, b)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.scene.serves(t, c.machine.from(config.Metadata.Name, b.netns))
	return b
}

func (c *containerd) gone(t *testing.T, bs ...sandbox) {
	t.Helper()
	for _, b := range bs {
		if err := c.remove(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
}
