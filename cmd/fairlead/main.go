// Command fairlead shows what Fairlead does and what keeps it from doing more,
// from the API server or from one agent's socket. As kubectl-fairlead on the
// PATH it is the kubectl plugin "kubectl fairlead".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exitCode(run(ctx, os.Args, os.Stdin, os.Stdout), os.Stderr))
}
