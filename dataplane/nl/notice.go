package nl

import (
	"context"
	"errors"
)

// Notices tells that something happened that matters says yes to. They are
// coalesced: one waits in the channel at most. What the kernel had to drop counts
// as one; matters is then called with the zero Event, whatever it answers.
//
// The channel is closed when ctx is done; should the socket fail before, then
// after a last notice. The monitor is closed with it.
func (m *Monitor) Notices(ctx context.Context, matters func(Event) bool) <-chan struct{} {
	ch := make(chan struct{}, 1)
	hear := func(e Event, err error) {
		if !matters(e) && err == nil {
			return
		}
		select {
		case ch <- struct{}{}:
		default: // one waits already
		}
	}
	go func() {
		defer close(ch)
		defer m.Close()
		for {
			err := m.Receive(ctx, func(e Event) { hear(e, nil) })
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				hear(Event{}, err)
			}
			if err != nil && !errors.Is(err, ErrOverrun) && !errors.Is(err, ErrMalformed) {
				return
			}
		}
	}()
	return ch
}
