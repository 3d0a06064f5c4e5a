// Package cniplugin is the CNI plugin: the verbs of the CNI specification 1.1.0
// over the node's address store and the node's kernel. It talks to no daemon and
// no API server, so pods start and stop while all of those are down. Under the
// name fairlead-ipam the same program is an IPAM plugin, which gives addresses of
// the store to attachments that another plugin wires, and touches no kernel.
//
// Invariants: an address is written to the store before the kernel hears of it,
// and freed after the kernel forgot it, so a plugin killed at any point leaves
// nothing that DEL, or the agent's search for leaks, does not find. The store's
// lock is not held while the kernel works. DEL and GC do all that can be done.
package cniplugin

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"fairlead.dev/cniplugin/store"
	"fairlead.dev/dataplane/link"
)

// Names of the plugins in a CNI configuration, and so of the program's files.
const (
	Type     = "fairlead"
	IPAMType = "fairlead-ipam"
)

// about is printed when the plugin is run by hand.
const about = "%s gives a pod an address of this node's Fairlead store%s.\n" +
	"A container runtime runs it with CNI_COMMAND set; see the CNI specification.\n" +
	"CNI protocol versions supported: %s\n"

// Main does what the environment and standard input ask, as the CNI protocol has
// it, and returns the process's exit status. The name that the program was called
// by says which plugin it is.
func Main() int {
	// A runtime that is gone must not end an ADD between its work and its undoing.
	signal.Ignore(syscall.SIGPIPE)
	return execution{
		program: filepath.Base(os.Args[0]), getenv: os.Getenv,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	}.run()
}

// execution is all that the world gives the program.
type execution struct {
	program        string
	getenv         func(string) string
	stdin          *os.File
	stdout, stderr io.Writer
}

type plugin struct {
	// log goes to standard error, which runtimes show only with a failure.
	log *slog.Logger
}

// run returns the process's exit status.
func (e execution) run() int {
	verbs, what := podVerbs(), " and wires it"
	if e.program == IPAMType {
		verbs, what = ipamVerbs(), ", for another plugin to wire"
	}
	if e.getenv("CNI_COMMAND") == "" {
		fmt.Fprintf(e.stderr, about, e.program, what, strings.Join(supported(), ", "))
		return 0
	}
	var r request
	err := e.serve(&r, verbs)
	if err == nil {
		return 0
	}
	p := plugin{log: slog.New(slog.NewTextHandler(e.stderr, nil))}
	if err := printError(e.stdout, r.version, err); err != nil {
		p.log.Error("could not print the error", "err", err)
	}
	return 1
}

// serve fills r in as far as it gets.
func (e execution) serve(r *request, verbs map[string]verb) (err error) {
	defer func() {
		// What the runtime can show is an error on standard output, not a crash.
		if fault := recover(); fault != nil {
			fmt.Fprintf(e.stderr, "%v\n%s", fault, debug.Stack())
			err = fmt.Errorf("fault in the program, please report it with what is on standard error: %v", fault)
		}
	}()
	var v verb
	if *r, v, err = readEnvironment(e.getenv, verbs); err != nil {
		return err
	}
	if r.verb == "VERSION" {
		return printVersion(e.pipedInput(), e.stdout)
	}
	if err := r.readConfig(e.stdin, v); err != nil {
		return err
	}
	return v.do(plugin{log: slog.New(slog.NewTextHandler(e.stderr, nil))}, *r, e.stdout)
}

// pipedInput is standard input, unless somebody sits at it.
func (e execution) pipedInput() io.Reader {
	info, err := e.stdin.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return nil
	}
	return e.stdin
}

// podVerbs are those of the plugin that wires pods.
func podVerbs() map[string]verb {
	attached := []string{"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}
	return map[string]verb{
		"ADD":     {do: plugin.add, needs: attached},
		"DEL":     {do: quiet(plugin.del), needs: []string{"CNI_CONTAINERID", "CNI_IFNAME"}},
		"CHECK":   {do: quiet(plugin.check), needs: attached, since: checkSince},
		"GC":      {do: quiet(plugin.gc), needs: []string{"CNI_PATH"}, since: gcSince},
		"STATUS":  {do: quiet(plugin.status), since: statusSince},
		"VERSION": {},
	}
}

// quiet is a verb that prints nothing when all went well.
func quiet(do func(plugin, request) error) func(plugin, request, io.Writer) error {
	return func(p plugin, r request, _ io.Writer) error { return do(p, r) }
}

// attachment is what the runtime's arguments name.
func (r request) attachment() store.Attachment {
	return store.Attachment{ContainerID: r.containerID, IfName: r.ifName, HostVeth: link.Name(r.containerID, r.ifName)}
}
