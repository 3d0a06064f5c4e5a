package config

import "runtime/debug"

// Version is this build's, as the go command stamped it from the commit it was
// built at, or "(devel)" where it could not.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
