package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"fairlead.dev/dataplane/nstest"
)

const (
	// tick is between two bursts of requests.
	tick = 5 * time.Millisecond
	// catchUp is how many ticks a sender that was kept waiting makes up for at once.
	catchUp = 4
	// inFlight is how many requests may wait for their answers: a busy machine is
	// asked less often, not until it answers nothing.
	inFlight = 256
	// timeout of a request, dialling included: a lost SYN is sent again after one
	// second, and then after two more.
	timeout = 5 * time.Second
	// fresh: each so many-th request has a connection of its own, which a Service
	// sends to an endpoint of its choice. The others go on with open ones.
	fresh = 10
)

// Options of a load.
type Options struct {
	// From is the namespace of the one who asks.
	From nstest.NS
	// URL is asked by POST, and must answer 200. Its host is an address.
	URL string
	// Rate of requests a second.
	Rate int
	// Once gives each request a connection of its own: none is kept to a server that
	// goes away.
	Once bool
}

// Load is a stream of requests that goes on until Stop.
type Load struct {
	opts       Options
	kept, once *http.Client

	stop    context.CancelFunc
	stopped <-chan struct{}
	running sync.WaitGroup
	tally   tally
}

// Start starts a load, which ends with ctx, too.
func Start(ctx context.Context, opts Options) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{opts: opts, stop: stop, stopped: ctx.Done(), kept: client(opts.From, true), once: client(opts.From, false)}
	l.running.Go(l.send)
	return l
}

// Stop ends the load and counts, when all that was asked is answered or given up.
func (l *Load) Stop() Count {
	l.stop()
	l.running.Wait()
	l.kept.CloseIdleConnections()
	return l.tally.count()
}

// Count is what came of the requests until now.
func (l *Load) Count() Count { return l.tally.count() }

func client(from nstest.NS, keep bool) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		DialContext:         dialer(from),
		DisableKeepAlives:   !keep,
		MaxIdleConnsPerHost: inFlight,
		// HTTP/2 would send all requests by one connection.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
}

// dialer makes sockets inside the namespace.
func dialer(from nstest.NS) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		insideErr := from.Inside(func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, insideErr
	}
}

// send asks until the load is stopped. A sender that gets no CPU asks less often,
// in no larger bursts than else.
func (l *Load) send() {
	t := time.NewTicker(tick)
	defer t.Stop()
	defer l.tally.end()
	room := make(chan struct{}, inFlight)
	l.tally.begin()
	for began, asked := time.Now(), 0; ; {
		due := time.Since(began).Seconds() * float64(l.opts.Rate)
		if most := catchUp * tick.Seconds() * float64(l.opts.Rate); due-float64(asked) > most {
			began = began.Add(time.Duration((due - float64(asked) - most) / float64(l.opts.Rate) * float64(time.Second)))
			due = float64(asked) + most
		}
		for ; asked < int(due); asked++ {
			select {
			case room <- struct{}{}:
			case <-l.stopped:
				return
			}
			by := l.kept
			if l.opts.Once || asked%fresh == 0 {
				by = l.once
			}
			l.running.Go(func() {
				defer func() { <-room }()
				l.ask(by)
			})
		}
		select {
		case <-l.stopped:
			return
		case <-t.C:
		}
	}
}

// ask is not cut short by Stop: what was asked is counted. It posts, with a body
// that can be read once: a GET, net/http would silently try again.
func (l *Load) ask(c *http.Client) {
	began := time.Now()
	body := io.NopCloser(strings.NewReader("?"))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, l.opts.URL, body)
	if err != nil {
		l.tally.fail(err)
		return
	}
	resp, err := c.Do(req)
	if err != nil {
		l.tally.fail(err)
		return
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", resp.Status)
	}
	if err != nil {
		l.tally.fail(err)
		return
	}
	l.tally.succeed(time.Since(began))
}
