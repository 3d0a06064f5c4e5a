package filter_test

import (
	"testing"
	"time"

	"fairlead.dev/dataplane/filter"
	"fairlead.dev/dataplane/nstest"
)

// watcher is a Watch that a test asks what it has told.
type watcher struct{ ch <-chan struct{} }

func watch(t *testing.T, ns nstest.NS, table *filter.Table) watcher {
	t.Helper()
	var w watcher
	ns.Do(t, func() {
		var err error
		if w.ch, err = table.Watch(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w watcher) await(t *testing.T) {
	t.Helper()
	select {
	case _, open := <-w.ch:
		if !open {
			t.Fatal("the watch has ended")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("waited 10 s in vain for a notification")
	}
}

func TestWatchTellsOfOthersChanges(t *testing.T) {
	ns := nstest.New(t, "node")
	table := open(t, ns)
	apply(t, table, sample())
	w := watch(t, ns, table)
	for _, change := range []string{
		"add chain inet fairlead more", "delete chain inet fairlead more",
		"add element inet fairlead pods4 { 1.2.3.4 }", "delete element inet fairlead pods4 { 1.2.3.4 }",
		"add set inet fairlead more { type ipv4_addr ; }", "add rule inet fairlead node accept", "flush chain inet fairlead source",
		"flush ruleset",
	} {
		ns.Run(t, "nft", change)
		w.await(t)
	}
	apply(t, table, sample())
	ns.Run(t, "nft", "delete", "table", "inet", "fairlead")
	w.await(t)
}
