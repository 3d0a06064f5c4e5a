package kubetest

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// guard is a process that removes a folder as soon as we are gone.
type guard struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// guardScript waits for the end of its input, which comes when we close it or
// die. Programs that die with us may write into the folder for a moment longer.
const guardScript = `read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf -- "$1" 2>/dev/null && exit 0
	sleep 0.2
done`

func startGuard(dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "kubetest-guard", dir) //nolint:noctx // it ends after everything else
	// A session of its own: the terminal's interrupt is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// release lets the guard remove the folder, and waits until it has.
func (g *guard) release() {
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
