package main

import (
	"context"
	"testing"
	"time"
)

func awaken(t *testing.T, woken <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatalf("not woken by %s", what)
	}
}

func TestWakeOn(t *testing.T) {
	changes, woken := make(chan struct{}), make(chan struct{}, 1)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- wakeOn(ctx, "changes", changes, func() { woken <- struct{}{} }) }()
	changes <- struct{}{}
	awaken(t, woken, "a change")
	// A source that ends before we do would leave us deaf.
	close(changes)
	if err := <-done; err == nil {
		t.Error("the end of the source is no error")
	}
	cancel()
	if err := wakeOn(ctx, "changes", changes, func() {}); err != nil {
		t.Errorf("after our own end: %v", err)
	}
}
