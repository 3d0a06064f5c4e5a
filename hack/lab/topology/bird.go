package topology

// birdTemplate leaves "next hop" at BIRD's default, which keeps a next hop of
// the neighbour's own segment (RFC 4271 section 5.1.3), and graceful restart at
// "aware", which is the helper.
const birdTemplate = `# The lab's {{.Hostname}}.
log stderr all;
router id {{.RouterID}};

protocol device {
	scan time 2;
}
{{- if .Downlink}}

protocol direct rack {
	interface "{{.Downlink}}";
{{- range .Families}}
	ipv{{.Number}};
{{- end}}
}
{{- end}}
{{- range .Families}}

protocol kernel kernel{{.Number}} {
	scan time 5;
	merge paths on limit {{$.MaxPaths}};
	ipv{{.Number}} {
		import none;
		export where source = RTS_BGP;
	};
}

filter pods{{.Number}} {
	if net ~ [ {{range $i, $p := index $.Pools .}}{{if $i}}, {{end}}{{$p}}+{{end}} ] then accept;
	reject;
}
{{- end}}

template bgp session {
	local as {{.ASN}};
	hold time {{.HoldTime}};
	keepalive time {{.Keepalive}};
	connect delay time {{.Retry}};
	connect retry time {{.Retry}};
	error wait time 1, 5;
	graceful restart aware;
}
{{- range .Neighbours}}

protocol bgp {{.Name}} from session {
	description "{{.Description}}";
{{- if .Range.IsValid}}
	neighbor range {{.Range}} as {{.ASN}};
	dynamic name "{{.Name}}_";
	dynamic name digits 2;
{{- else}}
	neighbor {{.Address}} as {{.ASN}};
{{- end}}
{{- if .Password}}
	password "{{.Password}}";
{{- end}}
	ipv{{.Family.Number}} {
		import {{if .Node}}filter pods{{.Family.Number}}{{else}}all{{end}};
		export where source = RTS_BGP || source = RTS_DEVICE;
	};
}
{{- end}}
`
