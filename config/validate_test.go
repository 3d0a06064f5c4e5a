package config

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValid(t *testing.T) {
	for name, cfg := range map[string]Settings{"controller": newController(), "agent": newAgent()} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateAgent(t *testing.T) {
	tests := map[string]struct {
		change func(*Agent)
		want   string // "" is valid
	}{
		"no node":           {func(a *Agent) { a.NodeName = "" }, "nodeName: is required"},
		"bad node":          {func(a *Agent) { a.NodeName = "N 1" }, `nodeName: "N 1" is not a Node's name`},
		"dotted node":       {func(a *Agent) { a.NodeName = "n1.rack1.example.org" }, ""},
		"namespace":         {func(a *Agent) { a.Namespace = "" }, "namespace:"},
		"relative run":      {func(a *Agent) { a.RunDir = "run" }, `runDir: "run" must be an absolute path`},
		"relative state":    {func(a *Agent) { a.StateDir = "" }, "stateDir:"},
		"relative sysctls":  {func(a *Agent) { a.SysctlDir = "proc/sys" }, `sysctlDir: "proc/sys" must be an absolute path`},
		"relative bin":      {func(a *Agent) { a.CNIBinDir = "bin" }, "cniBinDir:"},
		"relative conf":     {func(a *Agent) { a.CNIConfDir = "./net.d" }, "cniConfDir:"},
		"least MTU":         {func(a *Agent) { a.CNIMTU = 1280 }, ""},
		"too low MTU":       {func(a *Agent) { a.CNIMTU = 1279 }, "cniMTU: is 1279: must be 0, or 1280 to 65535"},
		"too high MTU":      {func(a *Agent) { a.CNIMTU = 65536 }, "cniMTU: is 65536"},
		"least VNI":         {func(a *Agent) { a.VXLANVNI = 1 }, ""},
		"no VNI":            {func(a *Agent) { a.VXLANVNI = 0 }, "vxlanVNI: is 0: must be 1 to 16777215"},
		"too high VNI":      {func(a *Agent) { a.VXLANVNI = 1 << 24 }, "vxlanVNI: is 16777216"},
		"no VXLAN port":     {func(a *Agent) { a.VXLANPort = 0 }, "vxlanPort: is 0: must be 1 to 65535"},
		"too high port":     {func(a *Agent) { a.VXLANPort = 65536 }, "vxlanPort: is 65536"},
		"iptables":          {func(a *Agent) { a.CNIHostPorts = "iptables" }, ""},
		"no host ports":     {func(a *Agent) { a.CNIHostPorts = "none" }, ""},
		"other host ports":  {func(a *Agent) { a.CNIHostPorts = "nft" }, `cniHostPorts: "nft" must be one of nftables, iptables, none`},
		"longest run":       {func(a *Agent) { a.RunDir = "/" + strings.Repeat("r", maxRunDir-1) }, ""},
		"too long run":      {func(a *Agent) { a.RunDir = "/" + strings.Repeat("r", maxRunDir) }, "runDir: has 97 bytes"},
		"no grace":          {func(a *Agent) { a.NodeGracePeriod = 0 }, "nodeGracePeriod: is 0s"},
		"negative sync":     {func(a *Agent) { a.SyncInterval = -time.Second }, "syncInterval: is -1s"},
		"no end of RIB":     {func(a *Agent) { a.EndOfRIBTimeout = 0 }, "endOfRIBTimeout:"},
		"resync below sync": {func(a *Agent) { a.ResyncInterval = time.Millisecond }, "resyncInterval: is 1ms: must be at least syncInterval (100ms)"},
		"no metrics":        {func(a *Agent) { a.MetricsAddress = "" }, ""},
		"nothing served":    {func(a *Agent) { a.MetricsAddress, a.HealthAddress = "", "" }, ""},
		"port alone":        {func(a *Agent) { a.MetricsAddress = "9470" }, `metricsAddress: "9470" is not an address`},
		"named port":        {func(a *Agent) { a.HealthAddress = "127.0.0.1:http" }, "healthAddress:"},
		"port too high":     {func(a *Agent) { a.HealthAddress = "127.0.0.1:65536" }, "healthAddress:"},
		"any port":          {func(a *Agent) { a.HealthAddress = "[::1]:0" }, ""},
		"one port for two":  {func(a *Agent) { a.HealthAddress = a.MetricsAddress }, "metricsAddress: \":9470\" is the healthAddress too"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := DefaultAgent()
			a.NodeName = "n1"
			tc.change(&a)
			checkProblem(t, a.Validate(), tc.want)
		})
	}
}

func TestValidateController(t *testing.T) {
	tests := map[string]struct {
		change func(*Controller)
		want   string
	}{
		"alone":      {func(c *Controller) { c.LeaderElection = false }, ""},
		"no grace":   {func(c *Controller) { c.NodeGracePeriod = 0 }, "nodeGracePeriod: is 0s"},
		"no cooling": {func(c *Controller) { c.CoolingPeriod = -1 }, "coolingPeriod: is -1ns"},
		"namespace":  {func(c *Controller) { c.Namespace = "a.b" }, "namespace:"},
		"metrics":    {func(c *Controller) { c.MetricsAddress = "localhost" }, "metricsAddress:"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultController()
			tc.change(&c)
			checkProblem(t, c.Validate(), tc.want)
		})
	}
}

func TestValidateJoins(t *testing.T) {
	err := (&Agent{}).Validate()
	if err == nil {
		t.Fatal("accepted an empty Agent")
	}
	if got := len(strings.Split(err.Error(), "\n")); got != 13 {
		t.Errorf("%d problems, want 13:\n%v", got, err)
	}
}

func checkProblem(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q lacks %q", err, want)
	}
}
