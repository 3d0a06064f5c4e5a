package cniplugin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"fairlead.dev/dataplane/link"
)

// writeResult prints the result of ADD. The usual one is written by hand, as the same
// JSON: the library's conversions and encoding/json took half as long as the
// kernel needs to make the link.
func writeResult(stdout io.Writer, prev *types100.Result, r request, s link.Spec) error {
	if prev != nil || !slices.Contains([]string{"1.0.0", currentVersion}, r.version) {
		return printResult(stdout, result(prev, r, s), r.version)
	}
	if _, err := stdout.Write(appendResult(nil, r, s)); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// appendResult is result without one before it, as JSON of version 1.0.0 or later.
func appendResult(b []byte, r request, s link.Spec) []byte {
	b = append(b, `{"cniVersion":"`+r.version+`","interfaces":[{"name":`...)
	b = appendEnd(b, s.Host, macString(s.HostMAC()), r.version, s.MTU)
	b = append(b, `},{"name":`...)
	b = appendEnd(b, s.Pod, macString(s.PodMAC()), r.version, s.MTU)
	b = append(appendQuoted(append(b, `,"sandbox":`...), r.netns), `}],"ips":[`...)
	for i, addr := range s.Addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = netip.PrefixFrom(addr, addr.BitLen()).AppendTo(append(b, `{"interface":1,"address":"`...))
		b = append(link.Gateway(addr).AppendTo(append(b, `","gateway":"`...)), `"}`...)
	}
	b = append(b, `],"routes":[`...)
	for i, addr := range s.Addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = netip.PrefixFrom(addr, 0).Masked().AppendTo(append(b, `{"dst":"`...))
		b = append(link.Gateway(addr).AppendTo(append(b, `","gw":"`...)), `"}`...)
	}
	return append(b, "]}\n"...)
}

func appendEnd(b []byte, name, mac, version string, mtu uint32) []byte {
	b = append(appendQuoted(b, name), `,"mac":"`+mac+`"`...)
	if version == mtuSince {
		b = strconv.AppendUint(append(b, `,"mtu": `...), uint64(mtu), 10)
	}
	return b
}

func appendQuoted(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string does not fail
	return append(b, quoted...)
}
