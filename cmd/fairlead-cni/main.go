// Command fairlead-cni is the CNI plugin fairlead and, called by that name, the
// IPAM plugin fairlead-ipam. The CNI protocol, not a command line, is its
// interface: environment, standard input and output, exit status.
package main

import (
	"os"

	"fairlead.dev/cniplugin"
)

func main() {
	os.Exit(cniplugin.Main())
}
