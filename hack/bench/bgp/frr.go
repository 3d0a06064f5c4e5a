package bgp

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead.dev/hack/bench/rig"
)

// frrDir is where Debian has FRR's daemons.
const frrDir = "/usr/lib/frr"

// startFRR runs zebra and bgpd in the ToR's namespace. bgpd must not start
// before zebra listens: it would try again only after 10 s.
func (s *stage) startFRR(ctx context.Context) error {
	dir := filepath.Join(s.dir, "frr")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("configure frr: %w", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // FRR's daemons drop root
		return fmt.Errorf("configure frr: %w", err)
	}
	for _, d := range []struct{ name, config, socket string }{
		{"zebra", "", "zserv.api"},
		{"bgpd", s.frrTor(), "bgpd.vty"},
	} {
		conf, err := s.file(d.name+".conf", d.config)
		if err != nil {
			return err
		}
		daemon, err := rig.Start(s.tor, nil, nil, nil, filepath.Join(frrDir, d.name), "-u", "frr", "-g", "frr", "-P", "0",
			"--vty_socket", dir, "-z", filepath.Join(dir, "zserv.api"), "-i", filepath.Join(dir, d.name+".pid"), "-f", conf)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, daemon.Kill)
		err = rig.Wait(ctx, bound, 5*time.Millisecond, d.name+" listens", func() error {
			if err := daemon.Alive(); err != nil {
				return err
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, d.socket))
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) frrTor() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n", torASN, s.wires[0].torAddress())
	for _, w := range s.wires {
		a := w.nodeAddress()
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %s passive\n neighbor %s timers 10 30\n", a, nodeASN, a, a)
	}
	return b.String()
}
