package cniplugin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// ADD, Section 2: a prevResult is passed on whatever version it is in, and one
// that cannot be is refused before anything is touched.
func TestAddTakesPrevResultOfItsVersion(t *testing.T) {
	n := newNode(t, block4)
	for _, tc := range []struct{ version, prev, refused string }{
		{"0.3.1", `{"interfaces":[{"name":"o0"}],"ips":[{"version":"4","interface":0,"address":"192.0.2.9/24"}],"dns":{}}`, ""},
		{"0.4.0", `{"cniVersion":"0.4.0","interfaces":[{"name":"o0"}],"ips":[{"version":"4","address":"192.0.2.9/24"}]}`, ""},
		{"0.4.0", `{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.9/24"}]}`, ""},
		{"1.1.0", `{"ips":[{"address":"192.0.2.9/24"}]}`, ""},
		{"1.1.0", `{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.9/24"}],"routes":[]}`, ""},
		{"0.3.1", `{"interfaces":[null]}`, "interfaces[0] is null"},
		{"0.4.0", `{"ips":[null]}`, "ips[0] is null"},
		{"1.0.0", `{"routes":[null]}`, "routes[0] is null"},
		{"1.0.0", `{"ips":[{"address":"x"}]}`, "prevResult"},
		{"1.0.0", `{"ips":[{"gateway":"192.0.2.1"}]}`, "ips[0] has no address"},
		{"1.0.0", `{"routes":[{"gw":"192.0.2.1"}]}`, "routes[0] has no dst"},
		{"1.0.0", `{"cniVersion":"3.0.0"}`, "3.0.0"},
		{"1.0.0", `{"cniVersion":7}`, "prevResult"},
	} {
		p := n.newPod(t, tc.version)
		out, err := n.run("ADD", n.conf(tc.version, `"prevResult":`+tc.prev), p.env()...)
		if tc.refused != "" {
			expect(t, err, types.ErrDecodingFailure, tc.refused)
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", tc.version, tc.prev, err)
			continue
		}
		var got struct {
			CNIVersion string
			IPs        []struct{ Address string }
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.CNIVersion != tc.version || len(got.IPs) != 2 || got.IPs[0].Address != "192.0.2.9/24" {
			t.Errorf("%s %s: %s", tc.version, tc.prev, out)
		}
	}
}

// Section 5: versions before 1.0.0 say the version of each address, 1.1.0 the MTU.
func TestResultHasTheFieldsOfItsVersion(t *testing.T) {
	for version, want := range map[string][2]string{
		"0.3.1": {`"version": "4"`, `"mtu"`}, "0.4.0": {`"version": "6"`, `"mtu"`},
		"1.0.0": {`"address"`, `"mtu"`}, "1.1.0": {`"mtu": 1500`, `"version"`},
	} {
		n := newNode(t, block4, block6)
		out, err := n.run("ADD", n.conf(version), n.newPod(t, version).env()...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, want[0]) || strings.Contains(out, want[1]) {
			t.Errorf("%s: want %s and not %s:\n%s", version, want[0], want[1], out)
		}
	}
}

// ADD, a result that nobody takes: the attachment is undone, and the plugin does
// not die of it half-way.
func TestAddUndoesWhatItCannotTell(t *testing.T) {
	n := newNode(t, block4, block6)
	p := n.newPod(t, "1.1.0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+n.ns.Path(), filepath.Join(binDir, "fairlead"))
	cmd.Env = append([]string{"CNI_COMMAND=ADD"}, p.env()...)
	cmd.Stdin, cmd.Stdout = strings.NewReader(n.conf("1.1.0")), w
	err = cmd.Run()
	_ = w.Close()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
	n.checkNothingLeft(t)
	p.mustAdd(t) // nothing of the first is left in the pod either
}
