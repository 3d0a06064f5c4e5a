// Package cniplugin is the CNI plugin: the verbs of the CNI specification 1.1.0
// over the node's address store and the node's kernel. It talks to no daemon and
// no API server, so pods start and stop while all of those are down.
//
// Invariants: an address is written to the store before the kernel hears of it,
// and freed after the kernel forgot it, so a plugin killed at any point leaves
// nothing that DEL, or the agent's search for leaks, does not find. The store's
// lock is not held while the kernel works. DEL and GC do all that can be done.
package cniplugin

import (
	"errors"
	"log/slog"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// Type is the plugin's name in a CNI configuration, and so of its file.
const Type = "fairlead"

// about is printed when the plugin is run by hand.
const about = "fairlead-cni wires a pod to its node with an address of the node's Fairlead store.\n" +
	"A container runtime runs it with CNI_COMMAND set; see the CNI specification."

// supported versions of the CNI specification.
func supported() version.PluginInfo {
	return version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0")
}

// Main does what the environment and standard input ask, as the CNI protocol
// has it, and returns the process's exit status.
func Main() int {
	p := plugin{log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	verbs := skel.CNIFuncs{Add: p.add, Del: p.del, Check: p.check, GC: p.gc, Status: p.status}
	failure := skel.PluginMainFuncsWithError(coded(verbs), supported(), about)
	if failure == nil {
		return 0
	}
	if err := failure.Print(); err != nil {
		p.log.Error("could not print the error", "err", err)
	}
	return 1
}

// coded gives the errors of all verbs their CNI codes.
func coded(f skel.CNIFuncs) skel.CNIFuncs {
	wrap := func(verb func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
		return func(args *skel.CmdArgs) error {
			if err := verb(args); err != nil {
				return cniError(err)
			}
			return nil
		}
	}
	return skel.CNIFuncs{Add: wrap(f.Add), Del: wrap(f.Del), Check: wrap(f.Check), GC: wrap(f.GC), Status: wrap(f.Status)}
}

type plugin struct {
	// log goes to standard error, which runtimes show only with a failure.
	log *slog.Logger
}

// attachment is what the runtime's arguments name.
func attachment(containerID, ifName string) store.Attachment {
	return store.Attachment{ContainerID: containerID, IfName: ifName, HostVeth: link.Name(containerID, ifName)}
}

// noStore says that there is no store to free addresses in: none yet, or one
// that the agent has to rebuild, which it does from the pods still wired.
func noStore(err error) bool {
	return errors.Is(err, store.ErrNotReady) || errors.Is(err, store.ErrCorrupt)
}
