// Command bench measures Fairlead beside what else does the same work, on the
// machine that it runs on, and shows the figures as a table and as JSON. It is
// called by make bench; docs/benchmarks.md says what each row means.
//
// Invariants: a figure and that of its peer are taken in turns in one run; no
// figure passes or fails; every area emits the rows that it promises.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"fairlead.dev/hack/bench/bgp"
	"fairlead.dev/hack/bench/learn"
	"fairlead.dev/hack/bench/routes"
)

func main() {
	child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// child is this program in the place of one that is measured: it does not return.
func child() {
	switch {
	case os.Getenv(bgp.SpeakerEnv) != "":
		exit(bgp.Serve(os.Stdin, os.Stdout))
	case os.Getenv(learn.SpeakerEnv) != "":
		exit(learn.Serve(os.Stdin, os.Stdout))
	case os.Getenv(routes.CompareEnv) != "":
		exit(routes.Compare())
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
