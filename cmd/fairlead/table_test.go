package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

// golden compares with a file of testdata; -update writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestTables(t *testing.T) {
	sources := map[string]facts{
		"well":  fromAPI(wellCluster(), now()),
		"sick":  fromAPI(sickCluster(), now()),
		"empty": fromAPI(objects{}, now()),
		"agent": fromAgent(agentView()),
	}
	for source, f := range sources {
		s := summarize(f)
		peers, blocks, hosts := peerRows(f), blockRows(f), hostRows(f)
		prints := map[string]struct {
			value  any
			tables []table
		}{
			"status": {s, s.tables(f)},
			"nodes":  {hosts, []table{hostTable(hosts)}},
			"peers":  {peers, []table{peerTable(peers, f.at)}},
			"blocks": {blocks, append([]table{blockTable(blocks)}, askedTable(f, "")...)},
		}
		if source == "agent" {
			prints["routes"] = struct {
				value  any
				tables []table
			}{f.routes, []table{routeTable(f.routes)}}
		}
		for name, p := range prints {
			for _, output := range []string{"table", "json"} {
				var b bytes.Buffer
				o := options{output: output}
				if err := o.print(&b, p.value, func() []table { return p.tables }); err != nil {
					t.Fatal(err)
				}
				golden(t, source+"-"+name+"."+map[string]string{"table": "txt", "json": "json"}[output], b.Bytes())
			}
		}
	}
}

func TestClean(t *testing.T) {
	tests := map[string]string{
		"":                        none,
		"plain":                   "plain",
		"two\nlines\tand a tab":   "two lines and a tab",
		"\x1b]0;title\x07 \x9b1m": " ]0;title  \ufffd1m",
		"naïve → 日本":              "naïve → 日本",
	}
	for in, want := range tests {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}
