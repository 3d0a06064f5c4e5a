package store

import (
	"bytes"
	"encoding"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The usual file is written and read by hand, byte for byte as encoding/json
// would: every ADD and DEL reads the whole store, with a hundred pods that took
// encoding/json longer than the kernel needs to wire a pod, and it was done under
// the lock. What is not exactly in that form (blanks, another order, escapes,
// unknown fields) is left to encoding/json.

// entrySize is more than an entry takes that has the usual names.
const entrySize = 384

// format is json.Marshal of a state without anything Unknown, and a line's end.
func format(s *State) []byte {
	entries := 1 + len(s.Leases) + len(s.Allocations) + len(s.Released)
	return append(appendState(make([]byte, 0, entries*entrySize), s), '\n')
}

func appendState(b []byte, s *State) []byte {
	b = append(b, `{"version":`...)
	b = strconv.AppendInt(b, int64(s.Version), 10)
	b = append(b, `,"leases":`...)
	b = appendList(b, s.Leases, appendLease)
	b = append(b, `,"allocations":`...)
	b = appendList(b, s.Allocations, appendAllocation)
	if len(s.Released) > 0 {
		b = append(b, `,"released":`...)
		b = appendList(b, s.Released, appendRelease)
	}
	b = appendNumber(b, `,"cooldownWaived":`, s.CooldownWaived)
	return append(b, '}')
}

func appendList[T any](b []byte, items []T, one func([]byte, *T) []byte) []byte {
	if items == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, &items[i])
	}
	return append(b, ']')
}

func appendLease(b []byte, l *Lease) []byte {
	b = appendText(append(b, `{"cidr":`...), l.CIDR)
	b = appendString(append(b, `,"uid":`...), l.UID)
	b = appendString(append(b, `,"pool":`...), l.Pool)
	if l.Closed {
		b = append(b, `,"closed":true`...)
	}
	if l.IPAMOnly {
		b = append(b, `,"ipamOnly":true`...)
	}
	if l.Announced {
		b = append(b, `,"announced":true`...)
	}
	if len(l.Reserved) > 0 {
		b = append(b, `,"reserved":`...)
		b = appendList(b, l.Reserved, func(b []byte, p *netip.Prefix) []byte { return appendText(b, *p) })
	}
	return append(b, '}')
}

func appendAllocation(b []byte, a *Allocation) []byte {
	b = appendText(append(b, `{"address":`...), a.Address)
	b = appendString(append(b, `,"kind":`...), string(a.Kind))
	b = appendOptional(b, `,"containerID":`, a.ContainerID)
	b = appendOptional(b, `,"ifName":`, a.IfName)
	b = appendOptional(b, `,"network":`, a.Network)
	b = appendOptional(b, `,"namespace":`, a.Namespace)
	b = appendOptional(b, `,"pod":`, a.Pod)
	b = appendOptional(b, `,"hostVeth":`, a.HostVeth)
	b = appendOptional(b, `,"netns":`, a.Netns)
	b = appendNumber(b, `,"netnsInode":`, a.NetnsInode)
	b = appendOptional(b, `,"bootID":`, a.BootID)
	if a.At != 0 {
		b = strconv.AppendInt(append(b, `,"at":`...), int64(a.At), 10)
	}
	return append(b, '}')
}

func appendRelease(b []byte, r *Release) []byte {
	b = appendText(append(b, `{"address":`...), r.Address)
	b = strconv.AppendInt(append(b, `,"at":`...), int64(r.At), 10)
	return append(b, '}')
}

// appendText appends what net/netip makes of v, which does not fail.
func appendText[T encoding.TextAppender](b []byte, v T) []byte {
	start := len(b)
	b, _ = v.AppendText(append(b, '"'))
	if text := b[start+1:]; bytes.IndexByte(text, '%') >= 0 { // a zone may be anything
		return appendString(b[:start], string(text))
	}
	return append(b, '"')
}

func appendOptional(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value)
}

func appendNumber(b []byte, key string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, key...), n, 10)
}

func appendString(b []byte, s string) []byte {
	if !plain(s) || strings.ContainsAny(s, `"<>&`) { // what encoding/json escapes, and more
		quoted, _ := json.Marshal(s) // a string does not fail
		return append(b, quoted...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain says that a text is of printable ASCII without a backslash.
func plain[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c-' ' > '~'-' ' || c == '\\' {
			return false
		}
	}
	return true
}

// parse reads what format makes. It is not ok for anything else, right or wrong.
func parse(data string) (s State, ok bool) {
	f := form{rest: data}
	f.want(`{"version":`)
	s.Version = int(f.number(strconv.IntSize - 1))
	f.want(`,"leases":`)
	s.Leases = list(&f, 1, f.lease)
	f.want(`,"allocations":`)
	s.Allocations = list(&f, strings.Count(f.rest, `"kind"`), f.allocation)
	if f.has(`,"released":`) {
		s.Released = list(&f, strings.Count(f.rest, "{"), f.release)
	}
	s.CooldownWaived = f.optionalNumber(`,"cooldownWaived":`)
	f.want("}\n")
	return s, !f.broken && f.rest == ""
}

// form reads a text of one fixed form. Once broken it reads nothing more.
type form struct {
	rest   string
	broken bool
}

// has skips a literal if it is next.
func (f *form) has(literal string) bool {
	rest, found := strings.CutPrefix(f.rest, literal)
	f.rest = rest
	return found
}

func (f *form) want(literal string) {
	if !f.has(literal) {
		f.fail()
	}
}

func (f *form) fail() { f.rest, f.broken = "", true }

// list has room for so many from the start: memory that is used for the first
// time costs a page fault every few entries.
func list[T any](f *form, room int, one func() T) []T {
	if f.has("null") {
		return nil
	}
	f.want("[")
	if f.has("]") {
		return []T{}
	}
	items := append(make([]T, 0, room), one())
	for f.has(",") {
		items = append(items, one())
	}
	f.want("]")
	return items
}

func (f *form) lease() (l Lease) {
	f.want(`{"cidr":`)
	l.CIDR = f.prefix()
	f.want(`,"uid":`)
	l.UID = f.text()
	f.want(`,"pool":`)
	l.Pool = f.text()
	l.Closed = f.has(`,"closed":true`)
	l.IPAMOnly = f.has(`,"ipamOnly":true`)
	l.Announced = f.has(`,"announced":true`)
	if f.has(`,"reserved":`) {
		l.Reserved = list(f, 1, f.prefix)
	}
	f.want("}")
	return l
}

func (f *form) allocation() (a Allocation) {
	f.want(`{"address":`)
	a.Address = f.address()
	f.want(`,"kind":`)
	a.Kind = Kind(f.text())
	a.ContainerID = f.optionalText(`,"containerID":`)
	a.IfName = f.optionalText(`,"ifName":`)
	a.Network = f.optionalText(`,"network":`)
	a.Namespace = f.optionalText(`,"namespace":`)
	a.Pod = f.optionalText(`,"pod":`)
	a.HostVeth = f.optionalText(`,"hostVeth":`)
	a.Netns = f.optionalText(`,"netns":`)
	a.NetnsInode = f.optionalNumber(`,"netnsInode":`)
	a.BootID = f.optionalText(`,"bootID":`)
	if f.has(`,"at":`) {
		a.At = f.duration()
	}
	f.want("}")
	return a
}

func (f *form) release() (r Release) {
	f.want(`{"address":`)
	r.Address = f.address()
	f.want(`,"at":`)
	r.At = f.duration()
	f.want("}")
	return r
}

func (f *form) address() netip.Addr {
	addr, err := netip.ParseAddr(f.text())
	if err != nil {
		f.fail()
	}
	return addr
}

func (f *form) prefix() netip.Prefix {
	prefix, err := netip.ParsePrefix(f.text())
	if err != nil {
		f.fail()
	}
	return prefix
}

// text is a string without escapes, of ASCII alone.
func (f *form) text() string {
	f.want(`"`)
	text, rest, found := strings.Cut(f.rest, `"`)
	if !found || !plain(text) {
		f.fail()
		return ""
	}
	f.rest = rest
	return text
}

func (f *form) optionalText(key string) string {
	if !f.has(key) {
		return ""
	}
	return f.text()
}

// number is a whole number that is not negative, of so many bits.
func (f *form) number(bits int) uint64 {
	end := 0
	for end < len(f.rest) && f.rest[end] >= '0' && f.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(f.rest[:end], 10, bits)
	if err != nil || end > 1 && f.rest[0] == '0' {
		f.fail()
		return 0
	}
	f.rest = f.rest[end:]
	return n
}

func (f *form) optionalNumber(key string) uint64 {
	if !f.has(key) {
		return 0
	}
	return f.number(64)
}

func (f *form) duration() time.Duration { return time.Duration(f.number(63)) }
