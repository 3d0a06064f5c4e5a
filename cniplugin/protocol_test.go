package cniplugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
)

// Section 2, Parameters: which a verb needs, and that the message names it.
func TestRequiredParameters(t *testing.T) {
	programs(t, func(t *testing.T, program string) {
		for verb, needs := range map[string][]string{
			"ADD":    {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"},
			"CHECK":  {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"},
			"DEL":    {"CNI_CONTAINERID", "CNI_IFNAME"},
			"GC":     {"CNI_PATH"},
			"STATUS": nil,
		} {
			for _, name := range needs {
				got := call{program, env(verb, name), network(program, "1.1.0")}.run(t).failure(t)
				got.expect(t, types.ErrInvalidEnvironmentVariables, name, verb)
			}
			all := call{program, env(verb, slices.Concat(needs, []string{"CNI_ARGS"})...), network(program, "1.1.0")}
			if len(needs) > 1 {
				all.run(t).failure(t).expect(t, types.ErrInvalidEnvironmentVariables, needs...)
			}
		}
	})
}

// Section 2: CNI_ARGS and CNI_PATH are optional for all but GC, CNI_NETNS for DEL,
// and STATUS needs nothing of an attachment.
func TestOptionalParameters(t *testing.T) {
	programs(t, func(t *testing.T, program string) {
		for verb, absent := range map[string][]string{
			"ADD":    {"CNI_PATH", "CNI_ARGS"},
			"CHECK":  {"CNI_PATH", "CNI_ARGS"},
			"DEL":    {"CNI_PATH", "CNI_ARGS", "CNI_NETNS"},
			"STATUS": {"CNI_PATH", "CNI_ARGS", "CNI_NETNS", "CNI_CONTAINERID", "CNI_IFNAME"},
			"GC":     {"CNI_ARGS", "CNI_NETNS", "CNI_CONTAINERID", "CNI_IFNAME"},
		} {
			conf := strings.Replace(network(program, "1.1.0"), "/nowhere", "nowhere", 1) // refused, after the environment
			got := call{program, env(verb, absent...), conf}.run(t).failure(t)
			got.expect(t, types.ErrInvalidNetworkConfig, "runDir")
		}
	})
}

// Section 2, Parameters, and the kernel: what a variable may be.
func TestInvalidParameters(t *testing.T) {
	for variable, values := range map[string][]string{
		"CNI_COMMAND":     {"add", "ADD ", "UPDATE", "ADD\x00"},
		"CNI_CONTAINERID": {"-a", ".a", "_a", "a/b", "a b", "../a", "\xff", "a\n"},
		"CNI_IFNAME":      {"sixteen-bytes-xx", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u00a0b", "eth%d", "all", "default", "\xff\xfe", "a\x01"},
	} {
		for _, value := range values {
			for _, verb := range []string{"ADD", "DEL", "CHECK"} {
				got := call{Type, env(verb, variable+"="+value), network(Type, "1.1.0")}.run(t).failure(t)
				got.expect(t, types.ErrInvalidEnvironmentVariables, variable)
			}
		}
	}
	for _, id := range []string{"a", "0", "A1_.-", strings.Repeat("f", 4096)} {
		if !validName(id) {
			t.Errorf("container ID %.20q is refused", id)
		}
	}
	for _, name := range []string{"eth0", "fifteen-bytes-x", "net1.100", "schön"} {
		if why := badIfName(name); why != "" {
			t.Errorf("interface %q: %s", name, why)
		}
	}
}

// Section 1, and error codes 1, 2, 6 and 7 of section 5.
func TestInvalidConfigurations(t *testing.T) {
	for _, tc := range []struct {
		name, conf string
		code       uint
		says       string
	}{
		{"nothing", ``, types.ErrDecodingFailure, "unexpected end"},
		{"not JSON", `{"cniVersion":`, types.ErrDecodingFailure, "unexpected end"},
		{"something behind", `{"cniVersion":"1.1.0","name":"n"} x`, types.ErrDecodingFailure, "after top-level"},
		{"a list", `[]`, types.ErrDecodingFailure, "array"},
		{"null", `null`, types.ErrIncompatibleCNIVersion, "cniVersion is missing"},
		{"name of another type", `{"cniVersion":"1.1.0","name":7}`, types.ErrDecodingFailure, "name"},
		{"prevResult of another type", `{"cniVersion":"1.1.0","name":"n","prevResult":"x"}`, types.ErrDecodingFailure, "prevResult"},
		{"no version", `{"name":"n"}`, types.ErrIncompatibleCNIVersion, "means 0.1.0"},
		{"an old version", `{"cniVersion":"0.3.0","name":"n"}`, types.ErrIncompatibleCNIVersion, `"0.3.0"`},
		{"a version of the future", `{"cniVersion":"2.0.0","name":"n"}`, types.ErrIncompatibleCNIVersion, `"2.0.0"`},
		{"no version at all", `{"cniVersion":"x","name":"n"}`, types.ErrIncompatibleCNIVersion, `"x"`},
		{"no name", `{"cniVersion":"1.1.0"}`, types.ErrInvalidNetworkConfig, "name is missing"},
		{"a name that is none", `{"cniVersion":"1.1.0","name":"../n"}`, types.ErrInvalidNetworkConfig, `"../n"`},
		{"unknown key", `{"cniVersion":"1.1.0","name":"n","bridge":"b0"}`, types.ErrUnsupportedField, `"bridge" with value "b0"`},
		{"invalid value", `{"cniVersion":"1.1.0","name":"n","mtu":1}`, types.ErrInvalidNetworkConfig, "mtu is 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := call{Type, env("ADD"), tc.conf}.run(t).failure(t)
			got.expect(t, tc.code, tc.says)
		})
	}
}

// Section 5, Error: cniVersion is the protocol version in use.
func TestErrorHasTheVersionInUse(t *testing.T) {
	for conf, want := range map[string]string{
		network(Type, "0.3.1"):              "0.3.1",
		network(Type, "1.0.0"):              "1.0.0",
		network(Type, "1.1.0"):              "1.1.0",
		`{"cniVersion":"0.2.0","name":"n"}`: "0.2.0",
		`{"name":"n"}`:                      "1.1.0",
		`?`:                                 "1.1.0",
		`{"cniVersion":"1.0.0","name":"n","x":1}`: "1.0.0",
	} {
		if got := (call{Type, env("ADD"), conf}).run(t).failure(t); got.CNIVersion != want {
			t.Errorf("%s: cniVersion %q, want %q", conf, got.CNIVersion, want)
		}
	}
}

// Each verb since the version that has it.
func TestVerbsOfLaterVersions(t *testing.T) {
	programs(t, func(t *testing.T, program string) {
		for verb, refused := range map[string][]string{
			"CHECK": {"0.3.1"}, "GC": {"0.3.1", "0.4.0", "1.0.0"}, "STATUS": {"0.3.1", "0.4.0", "1.0.0"},
		} {
			for _, version := range refused {
				got := call{program, env(verb), network(program, version)}.run(t).failure(t)
				got.expect(t, types.ErrIncompatibleCNIVersion, verb, version)
			}
			if got := (call{program, env(verb), network(program, "1.1.0")}).run(t); strings.Contains(got.stdout, errVersion.Error()) {
				t.Errorf("%s with 1.1.0: %s", verb, got.stdout)
			}
		}
	})
}

// Section 2, VERSION: the input's version, and those that are served.
func TestVersionEchoesItsInput(t *testing.T) {
	programs(t, func(t *testing.T, program string) {
		for in, want := range map[string]string{
			`{"cniVersion":"1.0.0"}`: "1.0.0", `{"cniVersion":"0.4.0"} `: "0.4.0", `{}`: "1.1.0", ``: "1.1.0", `?`: "1.1.0",
		} {
			got := call{program, map[string]string{"CNI_COMMAND": "VERSION"}, in}.run(t)
			var out struct {
				CNIVersion        string
				SupportedVersions []string
			}
			if err := json.Unmarshal([]byte(got.stdout), &out); err != nil || got.status != 0 {
				t.Fatalf("%+v: %v", got, err)
			}
			if diff := cmp.Diff([]string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}, out.SupportedVersions); out.CNIVersion != want || diff != "" {
				t.Errorf("%q: %s", in, got.stdout)
			}
		}
	})
}

// VERSION answers an input that does not end, and nobody's terminal.
func TestVersionDoesNotWait(t *testing.T) {
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // only now
	defer in.Close()
	if _, err := w.WriteString(`{"cniVersion":"0.4.0"}`); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for want, stdin := range map[string]*os.File{"0.4.0": in, "1.1.0": null} {
		var out bytes.Buffer
		e := execution{
			program: Type, stdin: stdin, stdout: &out, stderr: &out,
			getenv: func(name string) string { return map[string]string{"CNI_COMMAND": "VERSION"}[name] },
		}
		if status := e.run(); status != 0 || !strings.Contains(out.String(), `"cniVersion": "`+want+`"`) {
			t.Errorf("status %d: %s", status, out.String())
		}
	}
}

// Without CNI_COMMAND somebody runs it by hand.
func TestAboutByName(t *testing.T) {
	for program, want := range map[string]string{"fairlead": "and wires it", "fairlead-cni": "and wires it", "fairlead-ipam": "for another plugin to wire"} {
		got := call{program, nil, ""}.run(t)
		if got.status != 0 || got.stdout != "" || !strings.Contains(got.stderr, program) || !strings.Contains(got.stderr, want) {
			t.Errorf("%+v", got)
		}
	}
}

// Section 5, Error code 5: standard input that cannot be read.
func TestInputThatFails(t *testing.T) {
	dir, err := os.Open(t.TempDir()) // read(2) of a folder fails
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var out bytes.Buffer
	e := execution{program: Type, getenv: func(n string) string { return env("ADD")[n] }, stdin: dir, stdout: &out, stderr: &out}
	answer{e.run(), out.String(), ""}.failure(t).expect(t, types.ErrIOFailure, "cannot read the configuration")
}

// A fault of ours is an error on standard output, too.
func TestFaultIsAnError(t *testing.T) {
	verbs := map[string]verb{"ADD": {do: quiet(func(plugin, request) error { panic("at sea") })}}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var stderr bytes.Buffer
	var r request
	in := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(in, []byte(network(Type, "1.1.0")), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	err = execution{getenv: func(n string) string { return env("ADD")[n] }, stdin: stdin, stderr: &stderr}.serve(&r, verbs)
	if err == nil || !strings.Contains(err.Error(), "at sea") || !strings.Contains(stderr.String(), "protocol_test.go") {
		t.Errorf("error %v, standard error %s", err, stderr.String())
	}
}

// Reserved keys are the runtime's: all that start with cni.dev/ are taken.
func TestReservedKeysAreTaken(t *testing.T) {
	for _, key := range []string{"runtimeConfig", "args", "cni.dev/x", "cni.dev/valid-attachments", "prevResult", "capabilities", "cniVersions"} {
		if err := refuseUnknown([]byte(`{"`+key+`":null}`), "", func(k string) bool {
			return slices.Contains(known, k) || strings.HasPrefix(k, reservedPrefix)
		}); err != nil {
			t.Error(err)
		}
	}
}

// A GC whose list is missing or cannot be understood frees nothing: it says of no
// attachment that it is gone. The CNI library writes null for an empty list.
func TestGCNeedsItsList(t *testing.T) {
	for _, tc := range []struct {
		more string
		want error
		n    int
	}{
		{``, errConf, 0},
		{`"cni.dev/valid-attachments":7,`, errDecode, 0},
		{`"cni.dev/valid-attachments":[{"containerID":"a"}],`, errConf, 0},
		{`"cni.dev/valid-attachments":[{"ifname":"a"}],`, errConf, 0},
		{`"cni.dev/valid-attachments":[null],`, errConf, 0},
		{`"cni.dev/valid-attachments":null,`, nil, 0},
		{`"cni.dev/valid-attachments":[],`, nil, 0},
		{`"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}],`, nil, 1},
		{`"cni.dev/attachments":[{"containerID":"a","ifname":"b"}],`, nil, 1}, // the specification's error of 2024
	} {
		got, err := request{config: []byte(`{` + tc.more + `"name":"n"}`)}.validAttachments()
		if !errors.Is(err, tc.want) || len(got) != tc.n {
			t.Errorf("%s: %v, %v", tc.more, got, err)
		}
	}
}

// Every verb of the one program is one of the other.
func TestVerbsOfBothNames(t *testing.T) {
	pod, ipam := slices.Sorted(maps.Keys(podVerbs())), slices.Sorted(maps.Keys(ipamVerbs()))
	if diff := cmp.Diff([]string{"ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"}, pod); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(pod, ipam); diff != "" {
		t.Error(diff)
	}
}
