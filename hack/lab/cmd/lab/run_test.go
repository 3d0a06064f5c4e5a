package main

import (
	"bytes"
	"strings"
	"testing"
)

func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out, &out)
	return out.String(), err
}

func TestCommandsOnALabThatIsNotUp(t *testing.T) {
	for _, args := range [][]string{
		{"down"},
		{"exec", "n1", "--", "true"},
		{"kubectl", "get", "nodes", "-A"},
		{"helm", "list", "-A"},
		{"enter", "true"},
		{"fairlead", "status"},
		{"vtysh", "r1-tor1", "-c", "show version"},
		{"birdc", "r1-tor2", "show", "protocols"},
		{"pod", "add", "n1", "x"},
		{"pod", "del", "x"},
		{"node", "add", "r1", "n9"},
		{"node", "del", "n9"},
		{"node", "off", "n9"},
		{"node", "on", "n9"},
	} {
		args = append([]string{"-i", "nosuchlab"}, args...)
		if _, err := call(t, args...); err == nil || !strings.Contains(err.Error(), `lab "nosuchlab" is not up`) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestWrongCalls(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown command": {"fly"},
		"which router":    {"vtysh"},
		"arg(s)":          {"pod", "add", "n1"},
		"want 4 or 6":     {"cluster", "--only", "5"},
	} {
		if _, err := call(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q in it", args, err, want)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	out, err := call(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"demo", "cluster", "up", "down", "list", "exec", "enter", "kubectl", "helm", "fairlead", "vtysh", "birdc", "pod", "node"} {
		if !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("%s is not in the help:\n%s", name, out)
		}
	}
}
