package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestHelp(t *testing.T) {
	golden := filepath.Join("testdata", "help.txt")
	for _, args := range [][]string{{"--help"}, {"-h"}, {"cleanup", "--help"}, {"install-cni", "--help"}, {"--run-dir", "/x", "--help"}} {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), args, &stdout, &stderr); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if *update {
			if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil { //nolint:gosec // a file of the repository
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
			t.Errorf("%v (-want +got); -update accepts it:\n%s", args, diff)
		}
		if stderr.Len() > 0 {
			t.Errorf("%v says on stderr: %s", args, &stderr)
		}
	}
}

// What is not understood is refused, and above all is no reason to serve.
func TestRefusedArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"clean-up", "--node-name=n1"}, `unexpected argument "clean-up"`},
		{[]string{"--node-name=n1", "cleanup"}, `unexpected argument "cleanup"`},
		{[]string{"cleanup", "now", "--node-name=n1"}, `unexpected argument "now"`},
		{[]string{"--nodename=n1"}, "unknown flag: --nodename"},
		{[]string{"cleanup"}, "nodeName: is required"},
		{[]string{"install-cni", "--node-name=n1", "--run-dir=run"}, "runDir"},
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), tt.args, &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want %q", tt.args, err, tt.want)
		}
		if stdout.Len()+stderr.Len() > 0 {
			t.Errorf("%v: output %q %q", tt.args, &stdout, &stderr)
		}
	}
}
