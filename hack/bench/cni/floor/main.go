// Command floor is executed as a CNI plugin is, and does the kernel calls alone:
// floor ADD|DEL NAMESPACE LINK ADDRESS.
package main

import (
	"fmt"
	"net/netip"
	"os"

	"fairlead.dev/hack/bench/cni/kernel"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments, want 4", len(args))
	}
	if args[0] == "DEL" {
		return kernel.Delete(args[2])
	}
	addr, err := netip.ParseAddr(args[3])
	if err != nil {
		return err
	}
	return kernel.Add(args[1], args[2], addr)
}
