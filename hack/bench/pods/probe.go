package pods

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fairlead.dev/dataplane/nstest"
	"fairlead.dev/hack/bench/rig"
)

// interval is between two packets to an address that has not answered: how exact
// the time of the first answer is.
const interval = 10 * time.Millisecond

// ICMP of RFC 792.
const (
	echoReply   = 0
	echoRequest = 8
	echoID      = 0xf1ad
)

// probe asks pods' addresses from a namespace, again and again, and notes when each
// answers for the first time. It asks none before the container runtime has it: a
// node that finds nobody at an address does not look for a second.
type probe struct {
	conn   net.PacketConn
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu sync.Mutex // guards all below
	// results is the folder of what plugins gave the runtime; "" is none.
	results string
	// given are the addresses of the files there that were read.
	given map[string]netip.Addr
	first map[netip.Addr]time.Time
}

// newProbe asks nothing before aim. close ends it.
func newProbe(from nstest.NS) (*probe, error) {
	p := &probe{given: map[string]netip.Addr{}, first: map[netip.Addr]time.Time{}}
	err := from.Inside(func() (err error) {
		var l net.ListenConfig
		p.conn, err = l.ListenPacket(context.Background(), "ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask addresses: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done.Go(func() { p.ask(ctx) })
	p.done.Go(p.listen)
	return p, nil
}

func (p *probe) close() error {
	p.cancel()
	err := p.conn.Close()
	p.done.Wait()
	return err
}

// aim forgets all answers and asks the addresses of a folder from now on.
func (p *probe) aim(results string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = results
	clear(p.given)
	clear(p.first)
}

// answered waits until an address has answered, and returns when it did first.
func (p *probe) answered(ctx context.Context, a netip.Addr) (at time.Time, err error) {
	err = rig.Wait(ctx, bound, interval, "answer of "+a.String(), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		var ok bool
		if at, ok = p.first[a]; !ok {
			return errors.New("there is none")
		}
		return nil
	})
	return at, err
}

func (p *probe) ask(ctx context.Context) {
	request := echo()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, a := range p.silent() {
			// That an address cannot be reached yet is what is being found out.
			_, _ = p.conn.WriteTo(request, &net.IPAddr{IP: a.AsSlice()})
		}
	}
}

// silent are the addresses that pods have and that have not answered.
func (p *probe) silent() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(p.results, "*-eth0"))
	if p.results == "" || err != nil {
		return nil
	}
	var all []netip.Addr
	for _, file := range files {
		a, known := p.given[file]
		if !known {
			if a, err = addressIn(file); err != nil {
				continue // it is being written, or has gone
			}
			p.given[file] = a
		}
		if _, ok := p.first[a]; !ok {
			all = append(all, a)
		}
	}
	return all
}

// addressIn reads the result of an ADD as runtimes keep it for the DEL (libcni's
// cache).
func addressIn(file string) (netip.Addr, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return netip.Addr{}, err
	}
	var kept struct {
		Result struct {
			IPs []struct {
				Address netip.Prefix `json:"address"`
			} `json:"ips"`
		} `json:"result"`
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		return netip.Addr{}, err
	}
	if len(kept.Result.IPs) == 0 {
		return netip.Addr{}, errors.New("no address")
	}
	return kept.Result.IPs[0].Address.Addr(), nil
}

func (p *probe) listen() {
	packet := make([]byte, 1500)
	for {
		n, from, err := p.conn.ReadFrom(packet)
		if err != nil {
			return // close
		}
		now := time.Now()
		if n < 8 || packet[0] != echoReply || binary.BigEndian.Uint16(packet[4:]) != echoID {
			continue
		}
		a, ok := netip.AddrFromSlice(from.(*net.IPAddr).IP.To4())
		if !ok {
			continue
		}
		p.mu.Lock()
		if _, known := p.first[a]; !known && p.results != "" {
			p.first[a] = now
		}
		p.mu.Unlock()
	}
}

// echo is an echo request: type, code, checksum, identifier, sequence number.
func echo() []byte {
	b := make([]byte, 8)
	b[0] = echoRequest
	binary.BigEndian.PutUint16(b[4:], echoID)
	// The complement of a sum of two words that does not overflow (RFC 1071).
	binary.BigEndian.PutUint16(b[2:], ^uint16(echoRequest<<8+echoID))
	return b
}
