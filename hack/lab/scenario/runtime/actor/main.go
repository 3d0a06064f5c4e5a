// Command actor plays, in the runtime scenarios, the parts that are nobody's
// program: a machine's first process, a pod's containers, and who talks to them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "actor:", err)
		os.Exit(1)
	}
}

// run plays the part that args name.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	part, args := args[0], args[1:]
	switch {
	case part == "machine" && len(args) > 0: // FOLDER KEEP.., FOLDER in one of what is kept
		return machine(ctx, args[0], args[1:])
	case part == "init" && len(args) > 0: // FOLDER KEEP.., by machine
		return first(ctx, args[0], args[1:])
	case part == "pause" && len(args) == 0:
		<-ctx.Done()
		return nil
	case part == "serve" && len(args) == 1: // PORT
		return serve(ctx, args[0])
	case part == "serve-while-read" && len(args) == 1: // PORT, until the end of standard input
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, stdin)
		}()
		return serve(ctx, args[0])
	case part == "ask" && len(args) == 2: // NETWORK ADDRESS
		return ask(ctx, stdout, args[0], args[1])
	case (part == "pour" || part == "drink") && len(args) == 3: // ADDRESS SKIP-BYTES DURATION
		return measure(ctx, stdout, part, args[0], args[1], args[2])
	}
	return fmt.Errorf("no part %q with %d arguments", part, len(args))
}
