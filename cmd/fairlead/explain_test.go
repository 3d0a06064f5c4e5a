package main

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	sources := map[string]facts{
		"well": fromAPI(wellCluster(), now()), "sick": fromAPI(sickCluster(), now()), "agent": fromAgent(agentView()),
	}
	for _, tt := range []struct {
		name, source, address string
		well                  bool
	}{
		{"pod", "well", "10.244.1.7", true},
		{"free block", "well", "10.244.9.1", false},
		{"outside", "well", "192.0.2.1", false},
		{"sick", "sick", "10.244.2.7", false},
		{"own", "agent", "10.244.1.7", false}, // the agent has trouble
		{"vxlan", "agent", "10.244.3.9", true},
		{"refused", "agent", "fd00:10:244::41", false},
		{"nowhere", "agent", "192.0.2.1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sources[tt.source]
			e := explain(f, netip.MustParseAddr(tt.address))
			if e.well(f) != tt.well {
				t.Errorf("well: %t, want %t: %+v", !tt.well, tt.well, e)
			}
			for output, ext := range map[string]string{"table": "txt", "json": "json"} {
				var b bytes.Buffer
				o := options{output: output}
				if err := o.print(&b, e, func() []table { return e.tables(f) }); err != nil {
					t.Fatal(err)
				}
				golden(t, "explain-"+strings.ReplaceAll(tt.name, " ", "-")+"."+ext, b.Bytes())
			}
		})
	}
}

func TestExplainCommand(t *testing.T) {
	socket := serve(t, answerWith(t, agentView()))
	out, err := runCLI(t, "explain", "10.244.3.9", "--socket", socket)
	if err != nil || !strings.Contains(out, "VXLAN, 10.2.0.13, n3, installed") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := runCLI(t, "explain", "192.0.2.1", "--socket", socket); !errors.Is(err, errNotWell) {
		t.Errorf("an address that is nowhere: %v", err)
	}
	if _, err := runCLI(t, "explain", "10.244.3.0/26", "--socket", socket); err == nil || !strings.Contains(err.Error(), `"10.244.3.0/26" is not an address`) {
		t.Errorf("a prefix: %v", err)
	}
}
