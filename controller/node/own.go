package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrOwned says that another agent serves this node.
var ErrOwned = errors.New("another fairlead-agent runs on this node")

const lockName = "agent.lock"

// Disown removes the lock's file. It is for the owner that is the last.
func Disown(runDir string) error {
	if err := os.Remove(filepath.Join(runDir, lockName)); err != nil {
		return fmt.Errorf("remove the agent's lock: %w", err)
	}
	return nil
}

// Own makes this process the only agent of the run directory. The lock is an
// flock(2) and so ends with the process, however it ends.
func Own(runDir string) (release func(), err error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the run directory: %w", err)
	}
	path := filepath.Join(runDir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the agent's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: it holds %s", ErrOwned, path)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
