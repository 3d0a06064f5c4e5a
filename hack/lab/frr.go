package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/hack/lab/topology"
)

const (
	// frrUser is what Debian's FRR runs as; its vty sockets belong to it.
	frrUser = "frr"
	// frrDaemons is where Debian keeps the daemons.
	frrDaemons = "/usr/lib/frr"
	// frrTempMount gives an FRR daemon a /var/tmp of its own, where it makes a
	// folder that only a clean end removes: what a killed one leaves goes with
	// the lab. The path is fixed in FRR (lib/zlog.c). The process stays the same.
	frrTempMount = `mount --bind "$0" /var/tmp && exec "$@"`
)

func (r *Router) frrArgv(daemon string) []string {
	return []string{
		// As a slave, it does not keep a namespace that the host unmounts.
		"unshare", "--mount", "--propagation", "slave", "sh", "-c", frrTempMount, r.file("tmp"),
		filepath.Join(frrDaemons, daemon), "-u", frrUser, "-g", frrUser, "-P", "0",
		"--vty_socket", r.dir, "-z", r.file("zserv.api"),
		"-i", r.file(daemon + ".pid"), "-f", r.file(daemon + ".conf"),
	}
}

// Vtysh runs one command of an FRR router's shell.
func (r *Router) Vtysh(ctx context.Context, command string) (string, error) {
	argv, err := r.VtyshCommand("-c", command)
	if err != nil {
		return "", err
	}
	return run(ctx, "", argv[0], argv[1:]...)
}

// VtyshCommand is the command line of an FRR router's shell.
func (r *Router) VtyshCommand(args ...string) ([]string, error) {
	if r.Daemon != topology.FRR {
		return nil, fmt.Errorf("vtysh on %s: it runs %s", r.Name, r.Daemon)
	}
	return append([]string{"vtysh", "--vty_socket", r.dir}, args...), nil
}

func (r *Router) vtyshJSON(ctx context.Context, command string, into any) error {
	out, err := r.Vtysh(ctx, command+" json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func (r *Router) frrSessions(ctx context.Context) ([]Session, error) {
	var sessions []Session
	for _, f := range r.lab.Topology().Families() {
		var summary frrSummary
		if err := r.vtyshJSON(ctx, fmt.Sprintf("show bgp %s unicast summary", f), &summary); err != nil {
			return nil, err
		}
		more, err := summary.sessions(f)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, more...)
	}
	return sessions, nil
}

// frrSummary is `show bgp FAMILY unicast summary json`.
type frrSummary struct {
	Peers map[string]struct {
		RemoteAS uint32 `json:"remoteAs"`
		State    string `json:"state"`
		Received int    `json:"pfxRcd"`
		Uptime   int64  `json:"peerUptimeMsec"`
	} `json:"peers"`
}

func (s frrSummary) sessions(f topology.Family) ([]Session, error) {
	var sessions []Session
	for name, p := range s.Peers {
		// Dynamic neighbours are marked with a star in text only.
		a, err := netip.ParseAddr(name)
		if err != nil {
			return nil, fmt.Errorf("neighbour: %w", err)
		}
		session := Session{Neighbour: a, ASN: p.RemoteAS, Family: f, State: p.State, Received: p.Received}
		if session.State == Established {
			session.Up = time.Duration(p.Uptime) * time.Millisecond
		}
		sessions = append(sessions, session)
	}
	return sessions, nil
}

// frrTable is `show bgp FAMILY unicast json`.
type frrTable struct {
	Routes map[string][]struct {
		Best      bool   `json:"bestpath"`
		Multipath bool   `json:"multipath"`
		Stale     bool   `json:"stale"`
		Path      string `json:"path"`
		NextHops  []struct {
			IP    string `json:"ip"`
			Scope string `json:"scope"`
		} `json:"nexthops"`
	} `json:"routes"`
}

func (r *Router) frrRoutes(ctx context.Context, f topology.Family) ([]RIBRoute, error) {
	var table frrTable
	if err := r.vtyshJSON(ctx, fmt.Sprintf("show bgp %s unicast", f), &table); err != nil {
		return nil, err
	}
	return table.routes()
}

func (t frrTable) routes() ([]RIBRoute, error) {
	var routes []RIBRoute
	for name, paths := range t.Routes {
		prefix, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, fmt.Errorf("prefix: %w", err)
		}
		route := RIBRoute{Prefix: prefix}
		for _, p := range paths {
			asPath, err := parseASPath(p.Path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", prefix, err)
			}
			path := RIBPath{ASPath: asPath, Best: p.Best, Multipath: p.Multipath, Stale: p.Stale}
			for _, hop := range p.NextHops {
				// IPv6 paths carry a link-local next hop besides the global one.
				if hop.Scope != "link-local" {
					path.NextHop, _ = netip.ParseAddr(hop.IP)
				}
			}
			route.Paths = append(route.Paths, path)
		}
		routes = append(routes, route)
	}
	return routes, nil
}

func parseASPath(s string) ([]uint32, error) {
	var path []uint32
	for _, field := range strings.Fields(s) {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("AS path %q: %w", s, err)
		}
		path = append(path, uint32(n))
	}
	return path, nil
}

// listening says whether something accepts connections on a unix socket.
func listening(ctx context.Context, path string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}
