package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// nodeExec executes CNI plugins inside a node's network namespace, where a
// container runtime and so its plugins would run.
type nodeExec struct {
	version.PluginDecoder
	ns string
}

var _ invoke.Exec = (*nodeExec)(nil)

// FindInPath looks for a plugin in the runtime's folders.
func (*nodeExec) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

// ExecPlugin runs a plugin; its error is the one that it printed, a *types.Error
// with the specification's codes.
func (e *nodeExec) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	line := enter(e.ns, path)
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, bytes.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		failure := &types.Error{}
		if json.Unmarshal(out.Bytes(), failure) == nil && failure.Msg != "" {
			return nil, failure
		}
		return nil, fmt.Errorf("%s: %w: %s", path, err, said.String()+out.String())
	}
	return out.Bytes(), nil
}

// errNoNetwork is a node without CNI configuration, which a kubelet reports as
// NotReady: no pod is sent there until one appears.
var errNoNetwork = errors.New("no CNI configuration")

// runtime is the node's container runtime, as far as CNI goes. It reads the first
// configuration, anew for each call, as runtimes do after a change.
func (n *Node) runtime() (*libcni.CNIConfig, *libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(n.CNIConfDir(), []string{".conf", ".conflist", ".json"})
	if err != nil {
		return nil, nil, fmt.Errorf("CNI configuration of %s: %w", n.Name, err)
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("node %s: %w in %s", n.Name, errNoNetwork, n.CNIConfDir())
	}
	list, err := readNetwork(files[0])
	if err != nil {
		return nil, nil, fmt.Errorf("CNI configuration of %s: %w", n.Name, err)
	}
	return libcni.NewCNIConfigWithCacheDir([]string{n.CNIBinDir()}, n.path("cni", "cache"),
		&nodeExec{ns: n.lab.NSName(n.Name)}), list, nil
}

// readNetwork reads a list, or the older kind of file, which holds one plugin.
func readNetwork(file string) (*libcni.NetworkConfigList, error) {
	if filepath.Ext(file) == ".conflist" {
		return libcni.NetworkConfFromFile(file)
	}
	conf, err := libcni.ConfFromFile(file) //nolint:staticcheck // runtimes read such files still
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromConf(conf) //nolint:staticcheck // as above
}

// hasNetwork says whether a kubelet could report the node as Ready.
func (n *Node) hasNetwork() error {
	_, _, err := n.runtime()
	return err
}
