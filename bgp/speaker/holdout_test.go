package speaker_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"fairlead.dev/dataplane/nstest"
)

// TestRestartFlagOutlivesAPeer has a peer that is done with the restart before the
// next one connects.
func TestRestartFlagOutlivesAPeer(t *testing.T) {
	t.Parallel()
	node := nodeNS(t)
	early, late := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	c := config(peer(early), peer(late))
	for i := range c.Peers {
		c.Peers[i].Passive = true
	}
	c.Global.Restarting = true
	s := startSpeaker(t, node)
	s.apply(c)
	if a := s.look(); len(a.Sessions) != 2 {
		t.Errorf("sessions are %+v", a.Sessions)
	}

	first := connect(t, node, s, 0)
	first.hears(packet.BGP_MSG_OPEN)
	first.says(barePeerOpen(), packet.NewBGPKeepAliveMessage(), packet.NewEndOfRib(packet.RF_IPv4_UC))
	// It is sent our routes when the restart is over for it.
	first.hears(packet.BGP_MSG_UPDATE)
	s.await(soon, "End-of-RIB of the first", func(a answer) bool { return a.Sessions[0].EndOfRIB })

	open := connect(t, node, s, 1).hears(packet.BGP_MSG_OPEN).Body.(*packet.BGPOpen)
	if restarts, forwards := flags(open); !restarts || !forwards {
		t.Errorf("the OPEN to the late peer: restart %t, forwarding %t", restarts, forwards)
	}
}

// flags are the restart flags of an OPEN (RFC 4724 section 3).
func flags(open *packet.BGPOpen) (restarts, forwards bool) {
	for _, p := range open.OptParams {
		capabilities, _ := p.(*packet.OptionParameterCapability)
		if capabilities == nil {
			continue
		}
		for _, c := range capabilities.Capability {
			if g, ok := c.(*packet.CapGracefulRestart); ok {
				return g.Flags&0x08 != 0, len(g.Tuples) == 1 && g.Tuples[0].Flags&0x80 != 0
			}
		}
	}
	return false, false
}

// barePeerOpen is of a peer that restarts gracefully, and of AS peerASN.
func barePeerOpen() *packet.BGPMessage {
	return packet.NewBGPOpenMessage(packet.AS_TRANS, 90, "10.255.0.9", []packet.OptionParameterInterface{
		packet.NewOptionParameterCapability([]packet.ParameterCapabilityInterface{
			packet.NewCapMultiProtocol(packet.RF_IPv4_UC),
			packet.NewCapFourOctetASNumber(peerASN),
			packet.NewCapGracefulRestart(false, false, 90, []*packet.CapGracefulRestartTuple{packet.NewCapGracefulRestartTuple(packet.RF_IPv4_UC, true)}),
		}),
	})
}

// barePeer is one end of a connection to a speaker.
type barePeer struct {
	t    *testing.T
	conn net.Conn
}

// connect connects a passive peer of the speaker, from the speaker's own namespace.
func connect(t *testing.T, node nstest.NS, s *process, peer int) barePeer {
	t.Helper()
	a := s.await(soon, "the speaker accepts connections", func(a answer) bool { return a.Sessions[peer].State == "Active" })
	from := netip.AddrPortFrom(a.Sessions[peer].Address, 0)
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: soon}
	var conn net.Conn
	var err error
	node.Do(t, func() { conn, err = d.DialContext(t.Context(), "tcp4", "127.0.0.1:179") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	return barePeer{t, conn}
}

func (p barePeer) says(messages ...*packet.BGPMessage) {
	p.t.Helper()
	for _, m := range messages {
		data, err := m.Serialize()
		if err == nil {
			_, err = p.conn.Write(data)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// hears returns the next message of a type.
func (p barePeer) hears(messageType uint8) *packet.BGPMessage {
	p.t.Helper()
	for {
		data := make([]byte, packet.BGP_HEADER_LENGTH)
		if _, err := io.ReadFull(p.conn, data); err != nil {
			p.t.Fatalf("awaiting message type %d: %v", messageType, err)
		}
		data = append(data, make([]byte, int(binary.BigEndian.Uint16(data[16:]))-len(data))...)
		if _, err := io.ReadFull(p.conn, data[packet.BGP_HEADER_LENGTH:]); err != nil {
			p.t.Fatal(err)
		}
		m, err := packet.ParseBGPMessage(data)
		if err != nil {
			p.t.Fatal(err)
		}
		if m.Header.Type == messageType {
			return m
		}
	}
}
