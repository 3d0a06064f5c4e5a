package measure

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	hundred := Sample{}
	for i := range 101 {
		hundred = append(hundred, float64(100-i))
	}
	for _, tc := range []struct {
		sample  Sample
		q, want float64
	}{
		{Sample{7}, 0.5, 7},
		{Sample{7}, 0.99, 7},
		{Sample{1, 3}, 0.5, 2},
		{Sample{9, 1, 5}, 0.5, 5},
		{Sample{4, 1, 3, 2}, 0.5, 2.5},
		{Sample{4, 1, 3, 2}, 0, 1},
		{Sample{4, 1, 3, 2}, 1, 4},
		{hundred, 0.99, 99},
		{hundred, 0.5, 50},
		{hundred, 0.005, 0.5},
	} {
		before := slices.Clone(tc.sample)
		if got := tc.sample.Quantile(tc.q); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%v of %v is %v, want %v", tc.q, tc.sample, got, tc.want)
		}
		if !slices.Equal(before, tc.sample) {
			t.Errorf("the sample was reordered to %v", tc.sample)
		}
	}
	if got := (Sample{}).Median(); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestSampleIsInMilliseconds(t *testing.T) {
	var s Sample
	s.Add(1500 * time.Microsecond)
	s.Add(time.Second)
	if !slices.Equal(s, Sample{1.5, 1000}) {
		t.Errorf("got %v", s)
	}
}

func TestPair(t *testing.T) {
	p := Pair{Ours: Sample{1, 2, 3}, Peer: Sample{10, 8, 4}}
	four, quarter := 8.0, 0.25
	want := Row{Area: "a", Name: "n", Value: 2, Unit: "ms", Peer: "p", PeerValue: &four, Ratio: &quarter}
	if d := cmp.Diff(want, p.Median("a", "n", "ms", "p")); d != "" {
		t.Error(d)
	}
	p99 := p.P99("a", "n", "ms", "p")
	if p99.Name != "n-p99" || math.Abs(p99.Value-2.98) > 1e-9 || math.Abs(*p99.PeerValue-9.96) > 1e-9 {
		t.Errorf("got %+v", p99)
	}
}

func TestJSON(t *testing.T) {
	for _, tc := range []struct {
		row  Row
		want string
	}{
		{
			Row{Area: "cni", Name: "add-sequential", Value: 6, Unit: Milliseconds}.Against("ptp+host-local", 12),
			`{"area":"cni","name":"add-sequential","value":6,"unit":"ms","peer":"ptp+host-local","peer_value":12,"ratio":0.5}`,
		},
		{
			Row{Area: "leases", Name: "controller-rss", Value: 40.5, Unit: Mebibytes},
			`{"area":"leases","name":"controller-rss","value":40.5,"unit":"MiB","peer":""}`,
		},
		{
			Row{Area: "a", Name: "b", Value: 1, Unit: Seconds}.Against("p", 0),
			`{"area":"a","name":"b","value":1,"unit":"s","peer":"p","peer_value":0}`,
		},
	} {
		var b bytes.Buffer
		if err := tc.row.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want+"\n", b.String()); d != "" {
			t.Error(d)
		}
	}
}

func TestNoJSONOfNothing(t *testing.T) {
	row := Row{Area: "a", Name: "b", Value: Sample{}.Median()}
	if err := row.WriteJSON(&bytes.Buffer{}); err == nil {
		t.Error("the median of no sample was written")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFailedWritesAreTold(t *testing.T) {
	if err := (Row{}).WriteJSON(full{}); err == nil {
		t.Error("a row was lost without a word")
	}
	if err := WriteTable(full{}, []Row{{}}); err == nil {
		t.Error("a table was lost without a word")
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	err := WriteTable(&b, []Row{
		Row{Area: "routes", Name: "install-10k", Value: 81234.6, Unit: RoutesPerSecond}.Against("ip -batch", 40000),
		{Area: "leases", Name: "controller-rss", Value: 40.54, Unit: Mebibytes},
		{Area: "x", Name: "y", Value: 0.126, Unit: Seconds},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `    AREA            NAME  VALUE  PEER VALUE  RATIO      UNIT       PEER
  routes     install-10k  81235       40000   2.03  routes/s  ip -batch
  leases  controller-rss   40.5                          MiB           
       x               y   0.13                            s           
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
