package store

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// filled is a value of which no field that goes into the file is empty. A field
// that was added and forgotten in format.go is in it.
func filled[T any]() T {
	var v T
	fill(reflect.ValueOf(&v).Elem())
	return v
}

func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("fd00::1:2")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("10.1.2.0/24")))
		return
	case Unknown:
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("a text with / and 'quotes'")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<53 + 1)
	case reflect.Uint64:
		v.SetUint(1<<64 - 1)
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func states() map[string]State {
	odd := filled[State]()
	odd.Allocations[0].Pod = "\"quoted\" \\ <&> \u2028 tab\t and \xff, not UTF-8"
	odd.Allocations[1].Address = netip.MustParseAddr("fe80::1%zone<\"\\\u2028")
	odd.Allocations[1].At = -time.Second
	odd.Leases[0].CIDR = netip.Prefix{}
	return map[string]State{
		"zero":    {},
		"usual":   *leased("10.0.1.0/26", "fd00::/122"),
		"no list": {Leases: []Lease{}, Allocations: []Allocation{}, Released: []Release{}},
		"filled":  filled[State](),
		"odd":     odd,
	}
}

func TestFormatIsThatOfEncodingJSON(t *testing.T) {
	for name, s := range states() {
		want, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want)+"\n", string(format(&s))); d != "" {
			t.Errorf("%s: -encoding/json +ours:\n%s", name, d)
		}
	}
}

// The usual file does not go the long way.
func TestParseReadsWhatIsWritten(t *testing.T) {
	for _, name := range []string{"usual", "filled", "no list"} {
		s := states()[name]
		s.Version = formatVersion
		data, err := encode(&s)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parse(string(data))
		if !ok {
			t.Errorf("%s: not read: %s", name, data)
		}
		if d := cmp.Diff(s, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: -written +read:\n%s", name, d)
		}
	}
}

// Whatever is not of the one form is left to encoding/json.
func TestParseLeavesTheRest(t *testing.T) {
	const file = `{"version":1,"leases":[{"cidr":"10.0.1.0/26","uid":"u","pool":"p"}],"allocations":[{"address":"10.0.1.1","kind":"pod","at":7}]}` + "\n"
	if _, ok := parse(file); !ok {
		t.Fatal("the usual file is not read")
	}
	for i := range len(file) {
		if _, ok := parse(file[:i]); ok {
			t.Errorf("%d bytes of %d are taken for all", i, len(file))
		}
	}
	for _, change := range [][2]string{
		{"1,", "1 ,"},
		{":1,", ":01,"},
		{":1,", ":-1,"},
		{":1,", ":99999999999999999999,"},
		{"}]}\n", "}]}"},
		{"}]}\n", "}]}\n\n"},
		{"}]}\n", "},]}\n"},
		{`"u"`, "\"\\u0061\""},
		{`"u"`, "\"\xff\""},
		{`"u"`, `null`},
		{`10.0.1.1"`, `"`},
		{`10.0.1.0/26`, `10.0.1.0`},
		{`"at":7`, `"at":7,"more":1`},
		{`"kind"`, `"Kind"`},
		{`"pool":"p"`, `"pool":"p","closed":false`},
	} {
		changed := strings.Replace(file, change[0], change[1], 1)
		if changed == file {
			t.Fatalf("%q is not in the file", change[0])
		}
		if _, ok := parse(changed); ok {
			t.Errorf("taken for the usual form: %s", changed)
		}
	}
}

// What parse takes, encoding/json reads as the same.
func FuzzParse(f *testing.F) {
	for _, s := range states() {
		f.Add(format(&s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := parse(string(data))
		if !ok {
			return
		}
		var want State
		strict := json.NewDecoder(bytes.NewReader(data))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
			t.Errorf("%q: -encoding/json +ours:\n%s", data, d)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	s := State{Version: formatVersion, Leases: []Lease{filled[Lease]()}}
	addr := netip.MustParseAddr("10.0.0.0")
	for range 100 {
		addr = addr.Next()
		held := filled[Allocation]()
		held.Address = addr
		s.Allocations = append(s.Allocations, held)
	}
	data, err := encode(&s)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	s := State{Version: formatVersion, Leases: []Lease{filled[Lease]()}}
	for range 100 {
		s.Allocations = append(s.Allocations, filled[Allocation]())
	}
	for b.Loop() {
		b.SetBytes(int64(len(format(&s))))
	}
}
