package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"fairlead.dev/hack/lab/topology"
)

// routerBound is how long a router may take to answer after its start.
const routerBound = 20 * time.Second

// Router is a ToR or a spine, running FRR or BIRD.
type Router struct {
	topology.Router
	lab *Lab
	dir string
}

// Session is one BGP session as a router sees it.
type Session struct {
	Neighbour netip.Addr
	ASN       uint32
	Family    topology.Family
	// State is Established, or the daemon's own word for what it is instead.
	State string
	// Up is how long it has been established; FRR only.
	Up time.Duration
	// Received counts the prefixes that were accepted from the neighbour.
	Received int
}

// Established is the State of a working session.
const Established = "Established"

// RIBPath is one way to a prefix.
type RIBPath struct {
	NextHop netip.Addr
	ASPath  []uint32
	// Best is the path that the router prefers. FRR also marks Multipath; in BIRD
	// equal paths are merged on their way to the kernel.
	Best, Multipath bool
	// Stale paths are held for a neighbour that restarts (RFC 4724); FRR only.
	Stale bool
}

// RIBRoute is a prefix in a router's BGP table, with all its paths.
type RIBRoute struct {
	Prefix netip.Prefix
	Paths  []RIBPath
}

// NextHops of all paths, sorted, each once.
func (r RIBRoute) NextHops() []netip.Addr {
	var hops []netip.Addr
	for _, p := range r.Paths {
		hops = append(hops, p.NextHop)
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	return slices.Compact(hops)
}

// Router is a ToR or a spine by name. If there is none of that name, everything
// asked of it is an error.
func (l *Lab) Router(name string) *Router {
	for _, r := range l.Routers() {
		if r.Name == name {
			return r
		}
	}
	return &Router{Router: topology.Router{Name: name, Daemon: "nothing: it is not in the topology"}, lab: l}
}

// Routers are all ToRs and then all spines.
func (l *Lab) Routers() []*Router {
	var rs []*Router
	for _, r := range l.Topology().Routers() {
		rs = append(rs, &Router{Router: r, lab: l, dir: l.path("routers", r.Name)})
	}
	return rs
}

// Sessions of the router with all its neighbours, sorted by neighbour. A waiting
// range of neighbours is none.
func (r *Router) Sessions(ctx context.Context) ([]Session, error) {
	read := r.frrSessions
	if r.Daemon == topology.BIRD {
		read = r.birdSessions
	}
	sessions, err := read(ctx)
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", r.Name, err)
	}
	slices.SortFunc(sessions, func(a, b Session) int { return a.Neighbour.Compare(b.Neighbour) })
	return sessions, nil
}

// Routes of the router's BGP table, sorted by prefix.
func (r *Router) Routes(ctx context.Context, f topology.Family) ([]RIBRoute, error) {
	read := r.frrRoutes
	if r.Daemon == topology.BIRD {
		read = r.birdRoutes
	}
	routes, err := read(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("%s routes of %s: %w", f, r.Name, err)
	}
	slices.SortFunc(routes, func(a, b RIBRoute) int { return a.Prefix.Compare(b.Prefix) })
	return routes, nil
}

// Route is what the router's BGP table holds for exactly this prefix; without
// paths if nothing.
func (r *Router) Route(ctx context.Context, prefix netip.Prefix) (RIBRoute, error) {
	routes, err := r.Routes(ctx, topology.FamilyOf(prefix.Addr()))
	if err != nil {
		return RIBRoute{}, err
	}
	for _, route := range routes {
		if route.Prefix == prefix {
			return route, nil
		}
	}
	return RIBRoute{Prefix: prefix}, nil
}

// Processes of the router, in the order in which they start.
func (r *Router) Processes() ([]*Process, error) {
	var ps []*Process
	for _, name := range r.processNames() {
		p, err := r.lab.processes.get(name)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// Kill9 ends the router's processes by SIGKILL; its kernel routes stay.
func (r *Router) Kill9(ctx context.Context) error {
	ps, err := r.Processes()
	if err != nil {
		return err
	}
	slices.Reverse(ps)
	var errs []error
	for _, p := range ps {
		errs = append(errs, p.Kill9(ctx))
	}
	return errors.Join(errs...)
}

// Restart starts the router's processes after Kill9 and returns when it answers.
func (r *Router) Restart(ctx context.Context) error {
	ps, err := r.Processes()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if err := p.Start(); err != nil {
			return err
		}
		if err := r.ready(ctx, p.Name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) processNames() []string {
	if r.Daemon == topology.BIRD {
		return []string{r.Name + "-bird"}
	}
	return []string{r.Name + "-zebra", r.Name + "-bgpd"}
}

// start writes the router's configuration and starts it.
func (r *Router) start(ctx context.Context) error {
	if err := r.writeConfig(); err != nil {
		return err
	}
	for _, name := range r.processNames() {
		if _, err := r.lab.processes.start(name, nil, enter(r.lab.NSName(r.Name), r.argv(name)...)...); err != nil {
			return err
		}
		if err := r.ready(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) argv(process string) []string {
	switch process {
	case r.Name + "-bird":
		return []string{"bird", "-f", "-c", r.file("bird.conf"), "-s", r.file("bird.ctl")}
	case r.Name + "-zebra":
		return r.frrArgv("zebra")
	default:
		return r.frrArgv("bgpd")
	}
}

// ready waits until the process listens to its command line tool. bgpd must not
// start before zebra is ready: it would try again only after 10 s.
func (r *Router) ready(ctx context.Context, process string) error {
	socket := map[string]string{
		r.Name + "-bird": "bird.ctl", r.Name + "-zebra": "zserv.api", r.Name + "-bgpd": "bgpd.vty",
	}[process]
	return poll(ctx, routerBound, 20*time.Millisecond, "start of "+process, func(ctx context.Context) error {
		if err := r.lab.processes.dead(); err != nil {
			return permanent{err}
		}
		return listening(ctx, r.file(socket))
	})
}

func (r *Router) writeConfig() error {
	files, err := r.lab.Topology().Render(r.Name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.file("tmp"), 0o755); err != nil {
		return fmt.Errorf("configure %s: %w", r.Name, err)
	}
	for name, text := range files {
		if err := writeFile(r.file(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
	}
	if r.Daemon == topology.FRR {
		return r.giveToFRR()
	}
	return nil
}

// giveToFRR lets FRR's daemons, which drop root, make sockets in their folder.
func (r *Router) giveToFRR() error {
	u, err := user.Lookup(frrUser)
	if err != nil {
		return fmt.Errorf("configure %s: %w", r.Name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("configure %s: user %s: %w", r.Name, frrUser, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("configure %s: group of %s: %w", r.Name, frrUser, err)
	}
	if err := os.Chown(r.dir, uid, gid); err != nil {
		return fmt.Errorf("configure %s: %w", r.Name, err)
	}
	return nil
}

func (r *Router) file(name string) string { return filepath.Join(r.dir, name) }
