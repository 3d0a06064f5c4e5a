// Command testimage makes the images of a lab's cluster, where no registry is
// at hand: pause, CoreDNS, and the images that Kubernetes' own tests run, under
// upstream's names. They are OCI archives without compression, since they only
// travel from one folder of this machine to another.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testimage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("testimage", flag.ContinueOnError)
	bin := flags.String("bin", "", "folder with the programs pause, coredns and agnhost")
	certs := flags.String("certs", "", "folder with agnhost's localhost.crt and localhost.key")
	out := flags.String("o", "", "folder to write the archives to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *bin == "" || *certs == "" || *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("-bin, -certs and -o are needed, and no argument")
	}
	archives, err := archives(ctx, *bin, *certs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for file, images := range archives {
		if err := writeArchive(filepath.Join(*out, file), images); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}
