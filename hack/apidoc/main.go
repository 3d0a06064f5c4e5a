// Command apidoc prints the API reference from the CRDs in config/crd.
package main

import (
	"fmt"
	"os"

	"fairlead.dev/config/crd"
)

func main() {
	if err := write(os.Stdout, crd.FS); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}
