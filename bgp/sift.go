package bgp

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// DefaultHoldTime is that of a Peer where it is zero (RFC 4271 section 10).
const DefaultHoldTime = 90 * time.Second

const (
	// defaultConnectRetry is a Peer's where it is zero.
	defaultConnectRetry = 5 * time.Second
	// minHoldTime is the least that RFC 4271 section 4.2 allows besides none.
	minHoldTime = 3 * time.Second
	maxHoldTime = math.MaxUint16 * time.Second
	// maxRestartTime is what 12 bits of seconds hold (RFC 4724 section 3).
	maxRestartTime = 4095 * time.Second
	// maxAllowLocalAS bounds how long a loop may be let run.
	maxAllowLocalAS = 10
)

// MaxPassword is the most bytes of a Peer.Password: the kernel's TCP_MD5SIG_MAXKEYLEN.
const MaxPassword = 80

// ErrGlobal is Sift's answer to settings with which no engine can be started.
var ErrGlobal = errors.New("unusable global settings")

// Sift brings a Config into the one form that Diff compares: lists sorted, each
// peer and prefix once, times in whole seconds and with their defaults. What
// cannot be is left out, and the error joins the reasons, each with its peer or
// prefix. Only ErrGlobal leaves nothing to work with. It shares no memory with c.
func Sift(c Config) (Config, error) {
	c.Global.RestartTime = seconds(c.Global.RestartTime)
	if err := c.Global.validate(); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrGlobal, err)
	}
	peers, peerErr := siftPeers(c.Peers)
	announce, announceErr := siftAnnounce(c.Announce)
	return Config{Global: c.Global, Peers: peers, Announce: announce}, errors.Join(peerErr, announceErr)
}

func (g Global) validate() error {
	switch {
	case g.ASN == 0:
		return errors.New("AS number 0 (RFC 7607)")
	case !g.RouterID.Is4() || g.RouterID.IsUnspecified():
		return fmt.Errorf("router ID %s is not an IPv4 address", g.RouterID)
	case g.ListenPort != -1 && (g.ListenPort < 1 || g.ListenPort > math.MaxUint16):
		return fmt.Errorf("listen port %d is neither a TCP port nor -1", g.ListenPort)
	case g.RestartTime < 0 || g.RestartTime > maxRestartTime:
		return fmt.Errorf("restart time %s is not within 0 to %s", g.RestartTime, maxRestartTime)
	}
	return nil
}

func siftPeers(in []Peer) ([]Peer, error) {
	var out []Peer
	var errs []error
	seen := map[netip.Addr]bool{}
	for _, p := range in {
		p = p.canonical()
		err := p.validate()
		if err == nil && seen[p.Address] {
			err = errors.New("wanted twice")
		}
		if err != nil {
			errs = append(errs, &PeerError{Peer: p.Address, Err: err})
			continue
		}
		seen[p.Address] = true
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Peer) int { return a.Address.Compare(b.Address) })
	return out, errors.Join(errs...)
}

func (p Peer) canonical() Peer {
	if p.HoldTime == 0 {
		p.HoldTime = DefaultHoldTime
	}
	p.HoldTime = seconds(p.HoldTime)
	if p.Keepalive == 0 {
		p.Keepalive = p.HoldTime / 3 // RFC 4271 section 10
	}
	p.Keepalive = seconds(p.Keepalive)
	if p.ConnectRetry == 0 {
		p.ConnectRetry = defaultConnectRetry
	}
	p.ConnectRetry = seconds(p.ConnectRetry)
	p.Accept = slices.Clone(p.Accept)
	slices.SortFunc(p.Accept, ComparePrefix)
	p.Accept = slices.Compact(p.Accept)
	return p
}

func (p Peer) validate() error {
	switch a := p.Address; {
	case !a.IsValid() || a.Is4In6() || a.IsUnspecified() || a.IsMulticast():
		return errors.New("not the address of a neighbour")
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return errors.New("a link-local address needs its link, as in fe80::1%eth0")
	case p.ASN == 0:
		return errors.New("AS number 0 (RFC 7607)")
	case len(p.Password) > MaxPassword:
		return fmt.Errorf("password of %d bytes is longer than the kernel's %d", len(p.Password), MaxPassword)
	case p.HoldTime < minHoldTime || p.HoldTime > maxHoldTime:
		return fmt.Errorf("hold time %s is not within %s to %s", p.HoldTime, minHoldTime, maxHoldTime)
	case p.Keepalive < 0 || p.Keepalive >= p.HoldTime:
		return fmt.Errorf("keepalive %s is not below the hold time %s", p.Keepalive, p.HoldTime)
	case p.ConnectRetry < 0:
		return fmt.Errorf("connect retry %s is negative", p.ConnectRetry)
	case p.AllowLocalAS < 0 || p.AllowLocalAS > maxAllowLocalAS:
		return fmt.Errorf("allowLocalAS %d is not within 0 to %d", p.AllowLocalAS, maxAllowLocalAS)
	}
	for _, r := range p.Accept {
		if err := validatePrefix(r); err != nil {
			return fmt.Errorf("accept %s: %w", r, err)
		}
	}
	return nil
}

func siftAnnounce(in []netip.Prefix) ([]netip.Prefix, error) {
	var out []netip.Prefix
	var errs []error
	for _, p := range in {
		if err := validatePrefix(p); err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", p, err))
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, ComparePrefix)
	return slices.Compact(out), errors.Join(errs...)
}

func validatePrefix(p netip.Prefix) error {
	if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
		return errors.New("not a canonical prefix")
	}
	return nil
}

// seconds rounds up to whole ones: BGP's messages and the engine know no less.
func seconds(d time.Duration) time.Duration {
	if rest := d % time.Second; rest > 0 {
		d += time.Second - rest
	}
	return d
}
