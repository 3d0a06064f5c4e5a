package speaker_test

import "testing"

// between is what the second of three speakers alone announces.
const between4, between6 = "10.65.8.0/26", "fd65::800/122"

// TestKillTwice kills the second speaker as soon as each peer has heard End-of-RIB from
// it. What is stale before that is deleted if it becomes stale once more (RFC 4724
// section 4.2). The engine by itself would send nothing for an hour here.
func TestKillTwice(t *testing.T) {
	node, c, routes := killed(t)
	c.Announce = prefixes(ours4, ours6, between4, between6)
	second := startSpeaker(t, node)
	if a := second.tell(order{Apply: &c, Deferring: true}); a.Err != "" {
		t.Fatal(a.Err)
	}
	drop(t, routes, gone4, gone6)
	second.kill()

	c.Announce = prefixes(ours4, ours6)
	third := startSpeaker(t, node)
	third.apply(c)
	third.established(soon)
	drop(t, routes, between4, between6)
	keeps(t, routes, ours4, ours6)
}
