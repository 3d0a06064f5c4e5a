// Command cri makes one call of the Kubernetes Container Runtime Interface, v1,
// as kubelet makes it, from JSON to JSON:
//
//	cri -socket /run/containerd/containerd.sock RunPodSandbox <request.json
//
// It is a module of its own, so that the product's needs none of the API.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}
