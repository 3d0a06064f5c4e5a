package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/hack/lab"
)

// commandBound ends a command that hangs.
const commandBound = time.Minute

// machine is a node with mount and pid namespaces of its own as well, so that
// programs with fixed places in the file system have places to themselves, and
// all that they start ends with the machine's first process.
type machine struct {
	lab     *lab.Lab
	node    string
	folder  string // survives in the machine, as all of the lab's folder does
	process *lab.Process
	pid     int // of the first process
}

func (s *scene) startMachine(t *testing.T, node string) *machine {
	t.Helper()
	home := filepath.Dir(s.Node(node).RunDir())
	m := &machine{lab: s.Lab, node: node, folder: filepath.Join(home, "machine")}
	if err := os.Mkdir(m.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	m.process, err = s.StartProcess(node+"-machine", s.EnterCommand(node, s.tools.actor(), "machine", m.folder, filepath.Dir(filepath.Dir(home)))...)
	if err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "furniture of machine "+node, func(context.Context) error {
		_, err := os.Stat(filepath.Join(m.folder, "ready"))
		return err
	})
	text, err := os.ReadFile(filepath.Join(m.folder, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if m.pid, err = strconv.Atoi(string(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

// command is the command line that runs argv as a program of the machine.
func (m *machine) command(argv ...string) []string {
	ns := func(kind string) string { return fmt.Sprintf("--%s=/proc/%d/ns/%[1]s", kind, m.pid) }
	mnt := fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.pid)
	return append([]string{"nsenter", mnt, ns("pid"), ns("net"), "--"}, argv...)
}

// inside is the command line that runs argv in a network namespace that the
// machine keeps at a path.
func (m *machine) inside(netns string, argv ...string) []string {
	return m.command(append([]string{"nsenter", "--net=" + netns, "--"}, argv...)...)
}

// exec runs a short command line and returns its standard output.
func execute(ctx context.Context, env []string, stdin string, line ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(said.String()+out.String()))
	}
	return out.String(), nil
}

func (m *machine) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := execute(t.Context(), nil, "", m.command(argv...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// killInside sends SIGKILL to what a process of the lab runs in the machine:
// nsenter waits outside, where it does not hear of signals to itself.
func killInside(ctx context.Context, p *lab.Process) error {
	if err := p.MayEnd(true); err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.Pid))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return fmt.Errorf("child of %s (%d): %w", p.Name, p.Pid, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s (%d): %w", p.Name, pid, err)
	}
	for began := time.Now(); p.Running(); {
		if time.Since(began) > bound {
			return errors.New(p.Name + " still runs after SIGKILL")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tick):
		}
	}
	return nil
}
