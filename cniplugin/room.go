package cniplugin

import (
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
)

const (
	// roomWait is how long an ADD waits for an address when none is free and an agent
	// runs. A burst of pods is quicker than the agent, which asks for a block when 16
	// addresses are left, and the controller, which leases it; and a kubelet whose ADD
	// is refused starts the pod anew only ten seconds later, or more.
	roomWait = 5 * time.Second
	// roomTick is between two looks. A look takes the store's lock.
	roomTick = 100 * time.Millisecond
)

// awaitRoom takes addresses as soon as there is room for them, and returns when it
// took them.
func (c place) awaitRoom(take func(now store.Stamp) ([]netip.Addr, error)) (addrs []netip.Addr, taken store.Stamp, err error) {
	for began := time.Now(); ; time.Sleep(roomTick) {
		if taken, err = store.Now(); err != nil {
			return nil, taken, err
		}
		addrs, err = take(taken)
		if !errors.Is(err, store.ErrExhausted) || time.Since(began) >= roomWait || !c.agentRuns() {
			return addrs, taken, err
		}
	}
}

// agentRuns says whether somebody is there to ask for a block.
func (c place) agentRuns() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(c.RunDir, rundir.AgentSocket)})
	return err == nil || errors.Is(err, unix.EAGAIN) // EAGAIN: others wait for it, too
}
