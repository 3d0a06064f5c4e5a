package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"

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

// runtime is the node's container runtime, as far as CNI goes. It reads the
// configuration anew for each call, as runtimes do after a change.
func (n *Node) runtime() (*libcni.CNIConfig, *libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(n.CNIConfDir(), []string{".conflist"})
	if err != nil {
		return nil, nil, fmt.Errorf("CNI configuration of %s: %w", n.Name, err)
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("CNI configuration of %s: none in %s", n.Name, n.CNIConfDir())
	}
	list, err := libcni.ConfListFromFile(files[0])
	if err != nil {
		return nil, nil, fmt.Errorf("CNI configuration of %s: %w", n.Name, err)
	}
	return libcni.NewCNIConfigWithCacheDir([]string{n.CNIBinDir()}, n.path("cni", "cache"),
		&nodeExec{ns: n.lab.NSName(n.Name)}), list, nil
}
