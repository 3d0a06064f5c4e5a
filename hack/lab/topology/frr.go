package topology

const zebraTemplate = `! The lab's {{.Hostname}}: kernel routes by zebra's defaults.
frr version 8.4
frr defaults datacenter
hostname {{.Hostname}}
log stdout informational
`

// bgpdTemplate keeps FRR's "ebgp-requires-policy" and says every policy. A
// neighbour on the same segment as a prefix's next hop gets that next hop
// unchanged, which is FRR's standard behaviour (RFC 4271 section 5.1.3).
const bgpdTemplate = `! The lab's {{.Hostname}}.
frr version 8.4
frr defaults datacenter
hostname {{.Hostname}}
log stdout informational
!
{{- range $f := .Families}}
{{- range index $.Pools $f}}
{{if eq $f 6}}ipv6{{else}}ip{{end}} prefix-list PODS{{$f.Number}} permit {{.}} le {{if eq $f 6}}128{{else}}32{{end}}
{{- end}}
{{- end}}
!
{{- range .Families}}
route-map PODS permit {{.Number}}
 match {{if eq . 6}}ipv6{{else}}ip{{end}} address prefix-list PODS{{.Number}}
!
{{- end}}
route-map ALL permit 10
!
{{- if .Downlink}}
route-map RACK permit 10
 match interface {{.Downlink}}
!
{{- end}}
router bgp {{.ASN}}
 bgp router-id {{.RouterID}}
 bgp log-neighbor-changes
 no bgp default ipv4-unicast
 no bgp default show-hostname
 no bgp default show-nexthop-hostname
 bgp bestpath as-path multipath-relax
 bgp graceful-restart stalepath-time 360
 timers bgp {{.Keepalive}} {{.HoldTime}}
{{- range .Neighbours}}
{{- $peer := .Peer}}
{{- if .Range.IsValid}}
 neighbor {{$peer}} peer-group
{{- end}}
 neighbor {{$peer}} remote-as {{.ASN}}
 neighbor {{$peer}} description {{.Description}}
 neighbor {{$peer}} timers connect {{$.Retry}}
{{- if .Password}}
 neighbor {{$peer}} password {{.Password}}
{{- end}}
{{- if .Range.IsValid}}
 bgp listen range {{.Range}} peer-group {{$peer}}
{{- end}}
{{- end}}
{{- range $f := .Families}}
 !
 address-family ipv{{$f.Number}} unicast
  maximum-paths {{$.MaxPaths}}
{{- if $.Downlink}}
  redistribute connected route-map RACK
{{- end}}
{{- range $.Neighbours}}
{{- if eq .Family $f}}
  neighbor {{.Peer}} activate
  neighbor {{.Peer}} route-map {{if .Node}}PODS{{else}}ALL{{end}} in
  neighbor {{.Peer}} route-map ALL out
{{- end}}
{{- end}}
 exit-address-family
{{- end}}
!
`

// Number is 4 or 6.
func (f Family) Number() int { return int(f) }

// Peer is what FRR calls the neighbour: its address, or a peer group's name.
func (n neighbour) Peer() string {
	if n.Range.IsValid() {
		return n.Name
	}
	return n.Address.String()
}
