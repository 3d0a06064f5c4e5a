package lab

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"fairlead.dev/hack/lab/topology"
)

// Birdc runs one command of a BIRD router's shell.
func (r *Router) Birdc(ctx context.Context, command string) (string, error) {
	argv, err := r.BirdcCommand(strings.Fields(command)...)
	if err != nil {
		return "", err
	}
	return run(ctx, "", argv[0], argv[1:]...)
}

// BirdcCommand is the command line of a BIRD router's shell.
func (r *Router) BirdcCommand(args ...string) ([]string, error) {
	if r.Daemon != topology.BIRD {
		return nil, fmt.Errorf("birdc on %s: it runs %s", r.Name, r.Daemon)
	}
	return append([]string{"birdc", "-s", r.file("bird.ctl")}, args...), nil
}

func (r *Router) birdSessions(ctx context.Context) ([]Session, error) {
	out, err := r.Birdc(ctx, "show protocols all")
	if err != nil {
		return nil, err
	}
	return parseBIRDProtocols(out)
}

func (r *Router) birdRoutes(ctx context.Context, f topology.Family) ([]RIBRoute, error) {
	out, err := r.Birdc(ctx, fmt.Sprintf("show route table master%d where source = RTS_BGP all", f.Number()))
	if err != nil {
		return nil, err
	}
	return parseBIRDRoutes(out)
}

// parseBIRDProtocols reads `show protocols all`: a line a protocol, then its
// details, indented, up to an empty line.
func parseBIRDProtocols(out string) ([]Session, error) {
	var sessions []Session
	var s Session
	flush := func() {
		if s.Neighbour.IsValid() {
			s.Family = topology.FamilyOf(s.Neighbour)
			sessions = append(sessions, s)
		}
		s = Session{}
	}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, " ") {
			flush()
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if err := s.readBIRD(key, strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
	}
	flush()
	return sessions, nil
}

func (s *Session) readBIRD(key, value string) error {
	var err error
	switch key {
	case "BGP state":
		s.State = value
	case "Neighbor address":
		s.Neighbour, err = netip.ParseAddr(value)
	case "Neighbor AS":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 32)
		s.ASN = uint32(n)
	case "Routes": // "2 imported, 5 exported, 2 preferred", or with "1 filtered," after the first
		imported, _, _ := strings.Cut(value, " imported")
		s.Received, err = strconv.Atoi(imported)
	}
	return err
}

// parseBIRDRoutes reads `show route all`: a line a path, with the prefix on a
// prefix's first, then its details, indented by a tab.
func parseBIRDRoutes(out string) ([]RIBRoute, error) {
	var routes []RIBRoute
	var path *RIBPath
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "\t") {
			if path == nil {
				return nil, fmt.Errorf("line %q: before any route", line)
			}
			if err := path.readBIRD(strings.TrimSpace(line)); err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			continue
		}
		if !strings.Contains(line, " [") { // a table's title, BIRD's greeting
			continue
		}
		if !strings.HasPrefix(line, " ") {
			prefix, err := netip.ParsePrefix(strings.Fields(line)[0])
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			routes = append(routes, RIBRoute{Prefix: prefix})
		}
		if len(routes) == 0 {
			return nil, fmt.Errorf("line %q: a path without a prefix", line)
		}
		last := &routes[len(routes)-1]
		last.Paths = append(last.Paths, RIBPath{Best: strings.Contains(line, "] * (")})
		path = &last.Paths[len(last.Paths)-1]
	}
	return routes, nil
}

func (p *RIBPath) readBIRD(line string) error {
	var err error
	if value, ok := strings.CutPrefix(line, "BGP.as_path:"); ok {
		p.ASPath, err = parseASPath(value)
	}
	if value, ok := strings.CutPrefix(line, "BGP.next_hop:"); ok {
		// IPv6 paths carry a link-local next hop after the global one.
		if hops := strings.Fields(value); len(hops) > 0 {
			p.NextHop, err = netip.ParseAddr(hops[0])
		}
	}
	return err
}
