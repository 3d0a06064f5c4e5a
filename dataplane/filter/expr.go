package filter

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// register is the one that every rule works in, of 16 bytes.
const register = unix.NFT_REG_1

// metaInputKind is NFT_META_IIFKIND (linux/netfilter/nf_tables.h, since Linux 5.2),
// the driver of the link that a packet came by.
const metaInputKind = 26

// Offsets in the headers of IPv4 (RFC 791) and IPv6 (RFC 8200).
const (
	source4, destination4 = 12, 16
	source6, destination6 = 8, 24
)

// match puts parts of a rule together.
func match(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// drop counts what it drops.
func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// podLink is dataplane.IsPodLink as well as nft can print it and read it again:
// flannel.1 begins as pods' links do, and is no veth.
func podLink() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register},
		equal([]byte(dataplane.LinkPrefix)),
		&expr.Meta{Key: metaInputKind, Register: register},
		equal(ifname("veth")),
	}
}

func equal(data []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func family(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equal([]byte{proto})}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal([]byte{number})}
}

func load(base expr.PayloadBase, offset, length uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
}

func port(number byte, port uint16) []expr.Any {
	const destinationPort = 2 // in the headers of TCP and UDP
	return append(protocol(number), load(expr.PayloadBaseTransportHeader, destinationPort, 2), equal(binary.BigEndian.AppendUint16(nil, port)))
}

// icmpType of ICMP or ICMPv6, each in its own family alone.
func icmpType(number, kind byte) []expr.Any {
	in := byte(unix.NFPROTO_IPV4)
	if number == unix.IPPROTO_ICMPV6 {
		in = unix.NFPROTO_IPV6
	}
	return match(family(in), protocol(number), []expr.Any{load(expr.PayloadBaseTransportHeader, 0, 1), equal([]byte{kind})})
}

// address loads the source or the destination of a packet of the family.
func address(proto byte, offset4, offset6 uint32) []expr.Any {
	if proto == unix.NFPROTO_IPV4 {
		return append(family(proto), load(expr.PayloadBaseNetworkHeader, offset4, 4))
	}
	return append(family(proto), load(expr.PayloadBaseNetworkHeader, offset6, 16))
}

func protoOf(a netip.Addr) byte {
	if a.Is4() {
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}

func sourceIs(a netip.Addr) []expr.Any {
	return append(address(protoOf(a), source4, source6), equal(a.AsSlice()))
}

func destinationIs(a netip.Addr) []expr.Any {
	return append(address(protoOf(a), destination4, destination6), equal(a.AsSlice()))
}

func source(p netip.Prefix) []expr.Any {
	size := p.Addr().BitLen() / 8
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(
		address(protoOf(p.Addr()), source4, source6),
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(size), Mask: mask, Xor: make([]byte, size)},
		equal(p.Addr().AsSlice()),
	)
}

func sourceIn(set string, proto byte) []expr.Any {
	return append(address(proto, source4, source6), &expr.Lookup{SourceRegister: register, SetName: set})
}

func destinationIn(set string, proto byte) []expr.Any {
	return append(address(proto, destination4, destination6), &expr.Lookup{SourceRegister: register, SetName: set})
}

func destinationNotIn(set string, proto byte) []expr.Any {
	return append(address(proto, destination4, destination6), &expr.Lookup{SourceRegister: register, SetName: set, Invert: true})
}

// noRouteBack is true when the route to the source leads elsewhere, or nowhere,
// or to the node itself.
func noRouteBack() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: register, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		equal(make([]byte, 4)),
	}
}

// answer is a packet of a connection that has seen both directions, or about one.
func answer() []expr.Any {
	states := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: states, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}
}

// translate to the address that the map has for the link; a link that is not in
// it does not match. Ports are random: what is behind the node is nobody's to guess.
func translate(uplinks string, proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register},
		&expr.Lookup{SourceRegister: register, DestRegister: register, IsDestRegSet: true, SetName: uplinks},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(proto), RegAddrMin: register, RegAddrMax: register, FullyRandom: true},
	}
}

// masquerade is of the family that the rule has matched.
func masquerade() []expr.Any { return []expr.Any{&expr.Masq{FullyRandom: true}} }

// ifname is a link's name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, nftables.TypeIFName.Bytes)
	copy(b, name)
	return b
}
