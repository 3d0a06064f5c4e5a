package cniplugin

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// call is one execution inside the test's process. What it asks for ends before
// the kernel is touched.
type call struct {
	program string
	env     map[string]string
	stdin   string
}

func env(verb string, more ...string) map[string]string {
	e := map[string]string{
		"CNI_COMMAND": verb, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/no-such", "CNI_PATH": "/opt/cni/bin",
	}
	for _, pair := range more {
		name, value, set := strings.Cut(pair, "=")
		e[name] = value
		if !set {
			delete(e, name)
		}
	}
	return e
}

// answer is what a runtime sees.
type answer struct {
	status         int
	stdout, stderr string
}

// run passes standard input through a pipe, as runtimes do.
func (c call) run(t testing.TB) answer {
	t.Helper()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	go func() {
		_, _ = w.WriteString(c.stdin)
		_ = w.Close()
	}()
	if c.program == "" {
		c.program = Type
	}
	var stdout, stderr bytes.Buffer
	status := execution{
		program: c.program, getenv: func(name string) string { return c.env[name] }, stdin: in, stdout: &stdout, stderr: &stderr,
	}.run()
	return answer{status, stdout.String(), stderr.String()}
}

// failure is the error structure of the specification.
type failure struct {
	CNIVersion, Msg, Details string
	Code                     uint
}

// failure ends the test unless standard output is an error structure, whole.
func (a answer) failure(t testing.TB) failure {
	t.Helper()
	var f failure
	if err := json.Unmarshal([]byte(a.stdout), &f); err != nil || a.status == 0 {
		t.Fatalf("status %d, no error on standard output: %v: %q", a.status, err, a.stdout)
	}
	if f.CNIVersion == "" || f.Msg == "" || f.Details == "" || f.Code == 0 {
		t.Errorf("the error lacks something: %+v", f)
	}
	return f
}

func (f failure) expect(t testing.TB, code uint, words ...string) {
	t.Helper()
	if f.Code != code {
		t.Errorf("code %d, want %d: %+v", f.Code, code, f)
	}
	for _, word := range words {
		if !strings.Contains(f.Msg, word) {
			t.Errorf("the message does not say %q: %q", word, f.Msg)
		}
	}
}

// network is the least configuration of each plugin.
func network(program, version string) string {
	conf := `{"cniVersion":"` + version + `","name":"n","type":"x","runDir":"/nowhere"}`
	if program == IPAMType {
		conf = `{"cniVersion":"` + version + `","name":"n","type":"x","ipam":{"type":"fairlead-ipam","runDir":"/nowhere","pools":["p"],"prefixLength":24}}`
	}
	return conf
}

func programs(t *testing.T, f func(t *testing.T, program string)) {
	for _, program := range []string{Type, IPAMType} {
		t.Run(program, func(t *testing.T) { f(t, program) })
	}
}
