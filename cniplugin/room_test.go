package cniplugin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev/cniplugin/rundir"
	"fairlead.dev/cniplugin/store"
)

func TestAwaitRoom(t *testing.T) {
	c := place{RunDir: t.TempDir()}
	agent, err := net.Listen("unix", filepath.Join(c.RunDir, rundir.AgentSocket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close() })
	want := netip.MustParseAddr("10.77.1.0")
	broken := errors.New("broken")
	for _, test := range []struct {
		name  string
		tries int // that find no room
		then  error
		waits time.Duration
		err   error
	}{
		{name: "room at once"},
		{name: "a block comes", tries: 7, waits: 7 * roomTick},
		{name: "no block comes", tries: 1 << 30, waits: roomWait, err: store.ErrExhausted},
		{name: "something else is wrong", then: broken, err: broken},
		{name: "and later", tries: 2, then: broken, waits: 2 * roomTick, err: broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, tries := time.Now(), 0
				var last store.Stamp
				got, taken, err := c.awaitRoom(func(now store.Stamp) ([]netip.Addr, error) {
					last = now
					if tries++; tries <= test.tries {
						return nil, fmt.Errorf("%w: IPv4", store.ErrExhausted)
					}
					return []netip.Addr{want}, test.then
				})
				if !errors.Is(err, test.err) || err == nil && (len(got) != 1 || got[0] != want) {
					t.Errorf("got %v, %v; want %v", got, err, test.err)
				}
				if taken != last {
					t.Errorf("taken at %v, want the time of the last try, %v", taken, last)
				}
				if waited := time.Since(began); waited != test.waits {
					t.Errorf("waited %v, want %v", waited, test.waits)
				}
			})
		})
	}
}

// Without an agent no block comes.
func TestAwaitRoomWithoutAgent(t *testing.T) {
	c := place{RunDir: t.TempDir()}
	agent, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(c.RunDir, rundir.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	agent.SetUnlinkOnClose(false) // as one that was killed
	if err := agent.Close(); err != nil {
		t.Fatal(err)
	}
	tries := 0
	_, _, err = c.awaitRoom(func(store.Stamp) ([]netip.Addr, error) {
		tries++
		return nil, store.ErrExhausted
	})
	if !errors.Is(err, store.ErrExhausted) || tries != 1 {
		t.Errorf("%d tries, %v; want one", tries, err)
	}
}
