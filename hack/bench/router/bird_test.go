package router

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// talk answers a BIRD client's next question as BIRD would.
func talk(t *testing.T, said string) *BIRD {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	go func() {
		question, err := bufio.NewReader(theirs).ReadString('\n')
		if err == nil && question == "show x\n" {
			_, _ = theirs.Write([]byte(said)) // the client tells
		}
		_ = theirs.Close()
	}()
	return &BIRD{conn: ours, lines: bufio.NewReader(ours)}
}

func TestReply(t *testing.T) {
	for name, tc := range map[string]struct{ said, want, err string }{
		"one line":     {"0013 Daemon is up and running\n", "Daemon is up and running\n", ""},
		"many lines":   {"2002-name state\n1002-tor up\n1006-  Neighbor\n   more\n0000 \n", "name state\ntor up\n  Neighbor\n  more\n\n", ""},
		"wrong word":   {"9001 syntax error, unexpected SYM\n", "", "syntax error"},
		"failure":      {"8003 Protocol not found\n", "", "Protocol not found"},
		"end too soon": {"1002-tor up\n", "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := talk(t, tc.said).Command(t.Context(), "show x")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q in it", err, tc.err)
			}
		})
	}
}
