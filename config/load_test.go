package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := write(t, "namespace: from-file\nnodeName: file\nlogLevel: debug\nnodeGracePeriod: 1m\nmetricsAddress: \"\"\n")
	environ := []string{"FAIRLEAD_NODE_NAME=env", "FAIRLEAD_LOG_LEVEL=warn", "FAIRLEAD_AGENT_PORT=tcp://10.0.0.1:80"}

	got := DefaultAgent()
	if err := Load("agent", []string{"--config", file, "--log-level=error"}, environ, &got); err != nil {
		t.Fatal(err)
	}
	want := DefaultAgent()
	want.Namespace, want.NodeGracePeriod, want.MetricsAddress = "from-file", time.Minute, ""
	want.NodeName = "env"
	want.LogLevel = slog.LevelError
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// Every key must be settable in each of the three ways, so that none is bound
// to the wrong field or kept from a source.
func TestEverySettingFromEverySource(t *testing.T) {
	for name, fresh := range map[string]func() Settings{"controller": newController, "agent": newAgent} {
		flagSet("", fresh()).VisitAll(func(f *pflag.Flag) {
			if f.Name == fileFlag {
				return
			}
			value := sample(t, f)
			sources := map[string]struct{ args, environ []string }{
				"flag": {args: []string{"--" + f.Name + "=" + value}},
				"env":  {environ: []string{envName(f.Name) + "=" + value}},
				"file": {args: []string{"--config=" + write(t, keyName(f.Name)+": "+value+"\n")}},
			}
			for source, in := range sources {
				cfg := fresh()
				if err := Load(name, in.args, in.environ, cfg); err != nil {
					t.Errorf("%s %s by %s: %v", name, f.Name, source, err)
					continue
				}
				got := flagSet("", cfg).Lookup(f.Name).Value.String()
				if !strings.EqualFold(got, value) {
					t.Errorf("%s %s by %s = %q, want %q", name, f.Name, source, got, value)
				}
			}
		})
	}
}

func newController() Settings { c := DefaultController(); return &c }

func newAgent() Settings { a := DefaultAgent(); a.NodeName = "n1"; return &a }

// sample is a valid value that is not the default.
func sample(t *testing.T, f *pflag.Flag) string {
	t.Helper()
	switch {
	case f.Value.Type() == "duration":
		return "7s"
	case f.Value.Type() == "bool":
		return "false"
	case f.Value.Type() == "uint32":
		return "1400"
	case f.Name == "cni-host-ports":
		return "iptables"
	case f.Name == "log-level":
		return "warn"
	case strings.HasSuffix(f.Name, "-address"):
		return "127.0.0.1:1234"
	case f.Name == "namespace" || f.Name == "node-name":
		return "elsewhere"
	default:
		return "/elsewhere/" + f.Name
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		file    string
		args    []string
		environ []string
		want    []string // each in the error
	}{
		"unknown key": {
			file: "nodName: n1\n",
			want: []string{`settings.yaml: unknown key "nodName": the nearest is "nodeName"`},
		},
		"key in the flag's spelling": {
			file: "node-grace-period: 1m\n",
			want: []string{`unknown key "node-grace-period": the nearest is "nodeGracePeriod"`},
		},
		"every problem of a file": {
			file: "syncIntervall: 1s\nrunDirr: /x\nlogLevel: loud\n",
			want: []string{`"syncInterval"`, `"runDir"`, `logLevel: "loud" is not a log level: debug, info, warn or error`},
		},
		"key twice":               {file: "runDir: /a\nrunDir: /b\n", want: []string{"settings.yaml", `"runDir" already set`}},
		"list":                    {file: "runDir: [/a]\n", want: []string{"runDir: must be one value"}},
		"null":                    {file: "runDir:\n", want: []string{"runDir: has no value"}},
		"no mapping":              {file: "- runDir\n", want: []string{"must be a mapping"}},
		"no YAML":                 {file: "\trunDir: {", want: []string{"parse YAML"}},
		"the file's own key":      {file: "config: /x\n", want: []string{`unknown key "config"`}},
		"number that is none":     {file: "cniMTU: big\n", want: []string{`cniMTU: "big" is not a number`}},
		"duration without unit":   {file: "syncInterval: 5\n", want: []string{`syncInterval: "5" is not a duration such as 30s or 5m`}},
		"bad env":                 {environ: []string{"FAIRLEAD_SYNC_INTERVAL=soon"}, want: []string{`FAIRLEAD_SYNC_INTERVAL: "soon" is not a duration`}},
		"unknown flag":            {args: []string{"--nod-name=x"}, want: []string{"unknown flag: --nod-name"}},
		"bad flag":                {args: []string{"--sync-interval=soon"}, want: []string{`"--sync-interval"`, `"soon"`}},
		"argument":                {args: []string{"now"}, want: []string{`unexpected argument "now"`}},
		"missing file":            {args: []string{"--config=/nonexistent/x.yaml"}, want: []string{"read settings file", "/nonexistent/x.yaml"}},
		"missing file by env":     {environ: []string{"FAIRLEAD_CONFIG=/nonexistent/y.yaml"}, want: []string{"/nonexistent/y.yaml"}},
		"file and environment":    {file: "nope: 1\n", environ: []string{"FAIRLEAD_RESYNC_INTERVAL=x"}, want: []string{`"nope"`, "FAIRLEAD_RESYNC_INTERVAL"}},
		"validated in the end":    {file: "namespace: Not_A_Name\n", want: []string{"settings of agent: namespace:"}},
		"each of several invalid": {file: "runDir: run\nsyncInterval: 0s\n", want: []string{`runDir: "run" must be an absolute path`, "syncInterval: is 0s"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			args := tc.args
			if tc.file != "" {
				args = append(args, "--config", write(t, tc.file))
			}
			err := Load("agent", args, tc.environ, newAgent())
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	got := newAgent()
	if err := Load("agent", []string{"--config", write(t, "# nothing yet\n")}, nil, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newAgent(), got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		if err := Load("agent", []string{arg}, nil, newAgent()); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("Load(%s) = %v, want pflag.ErrHelp", arg, err)
		}
	}
	usage := Usage("agent", newAgent())
	for _, want := range []string{"Usage: agent", "--run-dir", "/run/fairlead", "--log-level", "RFC 4724"} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage lacks %q:\n%s", want, usage)
		}
	}
}
