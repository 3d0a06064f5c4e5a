// Package measure holds figures: a row for each, the statistics that make one of
// many samples, and the two forms in which rows are shown. It is pure: it knows
// nothing of what was measured.
package measure

import (
	"encoding/json"
	"fmt"
	"io"
)

// Units of rows. Of rates more is better, of all else less.
const (
	Milliseconds    = "ms"
	Seconds         = "s"
	RoutesPerSecond = "routes/s"
	Mebibytes       = "MiB"
	Percent         = "%"
)

// Row is one figure. Area and Name together name it for good: what compares
// runs looks rows up by them.
type Row struct {
	// Area is that of make bench AREA=.
	Area  string  `json:"area"`
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Peer is what else was measured in the same run, in turns; "" if nothing was.
	Peer string `json:"peer"`
	// PeerValue has the unit of Value, Ratio is Value / PeerValue. Both are nil
	// without a Peer, and Ratio also where PeerValue is 0.
	PeerValue *float64 `json:"peer_value,omitempty"`
	Ratio     *float64 `json:"ratio,omitempty"`
}

// Against is the row with a peer.
func (r Row) Against(peer string, value float64) Row {
	r.Peer, r.PeerValue = peer, &value
	if value != 0 {
		ratio := r.Value / value
		r.Ratio = &ratio
	}
	return r
}

// WriteJSON writes the row as one line.
func (r Row) WriteJSON(w io.Writer) error {
	data, err := json.Marshal(r)
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write row %s of %s: %w", r.Name, r.Area, err)
	}
	return nil
}
