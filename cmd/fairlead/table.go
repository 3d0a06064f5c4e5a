package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Cells for what has no value, and for what has one that nobody told us.
const (
	none    = "-"
	unknown = "?"
)

// table is text in columns, under a title if there is one.
type table struct {
	title  string
	header []string
	rows   [][]string
	// empty is said in place of a table without rows.
	empty string
}

func (t table) write(w io.Writer) error {
	if t.title != "" {
		fmt.Fprintln(w, t.title)
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(w, t.empty)
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.header}, t.rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = clean(c)
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return tw.Flush()
}

// clean keeps a text that came from elsewhere on its line and in its column,
// and from speaking to the terminal: an agent's node may not be trusted.
func clean(s string) string {
	if s == "" {
		return none
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func writeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// ago is the time since t, as kubectl writes ages.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return none
	}
	return duration.HumanDuration(now.Sub(t))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// ratio writes "3/4", and of what is as large as an IPv6 subnet "3/many".
func ratio(part, whole int64) string {
	if whole >= mostCapacity {
		return fmt.Sprintf("%d/many", part)
	}
	return fmt.Sprintf("%d/%d", part, whole)
}
