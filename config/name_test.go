package config

import "testing"

func TestNames(t *testing.T) {
	tests := []struct{ flag, key, env string }{
		{"namespace", "namespace", "FAIRLEAD_NAMESPACE"},
		{"node-grace-period", "nodeGracePeriod", "FAIRLEAD_NODE_GRACE_PERIOD"},
		{"end-of-rib-timeout", "endOfRIBTimeout", "FAIRLEAD_END_OF_RIB_TIMEOUT"},
		{"cni-bin-dir", "cniBinDir", "FAIRLEAD_CNI_BIN_DIR"},
		{"cni-mtu", "cniMTU", "FAIRLEAD_CNI_MTU"},
		{"vxlan-vni", "vxlanVNI", "FAIRLEAD_VXLAN_VNI"},
	}
	for _, tc := range tests {
		if got := keyName(tc.flag); got != tc.key {
			t.Errorf("keyName(%s) = %s, want %s", tc.flag, got, tc.key)
		}
		if got := envName(tc.flag); got != tc.env {
			t.Errorf("envName(%s) = %s, want %s", tc.flag, got, tc.env)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"runDir", "runDir", 0},
		{"runDirr", "runDir", 1},
		{"ab", "ba", 2},
	}
	for _, tc := range tests {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
