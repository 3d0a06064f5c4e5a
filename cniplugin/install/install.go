// Package install puts the CNI plugins and their configuration where a container
// runtime finds them, and takes them away again.
//
// Invariants: a file is never seen half written, also not after a power cut; one
// that is as it must be is not touched, so that runtimes which watch the folder
// are not woken; the programs are there before the configuration that names them,
// and go after it; no file of anyone else is changed.
package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the programs, which are the types in configurations. The reference
// plugins have names of our own: theirs are other packages' files, of other
// versions, and plugins do not look at the names by which they are called.
const (
	BinaryName    = "fairlead" // see cniplugin.Type
	IPAMName      = "fairlead-ipam"
	PortmapName   = "fairlead-portmap"
	BandwidthName = "fairlead-bandwidth"
)

// pluginName is our plugin beside the agent, before it has its two names.
const pluginName = "fairlead-cni"

// program is a file that is installed, and the one beside the agent that it is a copy of.
type program struct{ name, source string }

// programs are all that are ever installed, whatever is chained: pods that were
// wired by another configuration are still to be unwired.
func programs() []program {
	return []program{
		{BandwidthName, BandwidthName}, {PortmapName, PortmapName}, {IPAMName, pluginName}, {BinaryName, pluginName},
	}
}

const (
	binaryMode = 0o755
	confMode   = 0o644
)

// Programs copies the programs from the folder source into binDir, which is made
// if it is missing. A program that runs goes on with the file it was started from.
func Programs(source, binDir string) error {
	for _, p := range programs() {
		data, err := os.ReadFile(filepath.Join(source, p.source))
		if err != nil {
			return fmt.Errorf("install CNI plugin %s: %w", p.name, err)
		}
		if err := place(binDir, p.name, data, binaryMode); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes away the configuration, then the programs, and what a killed
// installation may have left. What is not there is success. Programs that a
// configuration may still name stay.
func Remove(binDir, confDir string) error {
	if err := remove(confDir, ConfName); err != nil {
		return err
	}
	var errs []error
	for _, p := range programs() {
		errs = append(errs, remove(binDir, p.name))
	}
	return errors.Join(errs...)
}
