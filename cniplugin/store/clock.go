package store

import (
	"time"

	"fairlead.dev/dataplane/host"
)

// Stamp is a point in time that no clock setting moves: CLOCK_BOOTTIME within
// one boot of the machine.
type Stamp struct {
	BootID string
	At     time.Duration
}

// Now is the Stamp of this moment.
func Now() (Stamp, error) {
	id, err := host.BootID()
	if err != nil {
		return Stamp{}, err
	}
	at, err := host.SinceBoot()
	return Stamp{BootID: id, At: at}, err
}

// past says that wait has passed since at, a time of this boot. A time ahead of
// now is an earlier boot's, and so long ago.
func (s Stamp) past(at, wait time.Duration) bool {
	return at > s.At || s.At-at >= wait
}
