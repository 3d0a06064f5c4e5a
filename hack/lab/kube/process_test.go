package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// script spawns a shell script as a program of ours.
func script(t *testing.T, text string) *process {
	t.Helper()
	p, err := spawn(write(t, "program", text))
	if err != nil {
		t.Fatal(err)
	}
	endAfter(t, p)
	return p
}

// write makes a shell script in a folder of its own.
func write(t *testing.T, name, text string) program {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return program{path: path, dir: dir}
}

func endAfter(t *testing.T, p *process) {
	t.Cleanup(func() {
		if err := p.stop(0); err != nil {
			t.Error(err)
		}
	})
}

// waitForLog polls until the program has written this.
func waitForLog(t *testing.T, p *process, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.tail(), want); {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in the log:\n%s", want, p.tail())
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestProcessStops(t *testing.T) {
	p := script(t, "echo started; exec sleep 1000")
	waitForLog(t, p, "started")
	if !p.alive() {
		t.Fatal("not alive")
	}
	if err := p.stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("alive after stop")
	}
	if _, err := os.Stat(filepath.Join("/proc", itoa(p.PID))); err == nil {
		t.Error("left a zombie")
	}
	if err := p.stop(time.Second); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestProcessThatIgnoresSIGTERMIsKilled(t *testing.T) {
	p := script(t, "trap '' TERM; echo started; while :; do sleep 0.1; done")
	waitForLog(t, p, "started")
	if err := p.stop(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("alive after SIGKILL")
	}
}

// A pid that belongs to another process by now is left alone.
func TestProcessOfReusedPID(t *testing.T) {
	other := script(t, "exec sleep 1000")
	p := &process{PID: other.PID, StartTime: other.StartTime - 1}
	if p.alive() {
		t.Error("taken for the old process")
	}
	if err := p.stop(0); err != nil {
		t.Error(err)
	}
	if !other.alive() {
		t.Error("the pid's new owner was ended")
	}
}

// The kernel's promise to end the child with us is tied to a thread: it must
// not fire as long as we live, whatever Go's threads do.
func TestProcessOutlivesTheCallersThread(t *testing.T) {
	prog := write(t, "program", "echo started; exec sleep 1000")
	var p *process
	var err error
	done := make(chan struct{})
	onThread(func() {
		defer close(done)
		p, err = spawn(prog)
	})
	<-done
	if err != nil {
		t.Fatal(err)
	}
	endAfter(t, p)
	waitForLog(t, p, "started")
	for range 50 { // by now the thread has ended, and others have come and gone
		done := make(chan struct{})
		onThread(func() { close(done) })
		<-done
	}
	if !p.alive() {
		t.Error("ended with a thread")
	}
}

func TestSpawnFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := spawn(program{path: filepath.Join(dir, "none"), dir: dir}); err == nil || !strings.Contains(err.Error(), "start none") {
		t.Errorf("program that is not there: %v", err)
	}
	if _, err := spawn(program{path: "/bin/true", dir: dir, netns: filepath.Join(dir, "netns")}); err == nil || !strings.Contains(err.Error(), "network namespace") {
		t.Errorf("namespace that is not there: %v", err)
	}
}

func TestStartTimeOfOddNames(t *testing.T) {
	if _, err := startTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	p, err := spawn(write(t, "a) b (c", "while :; do sleep 0.1; done"))
	if err != nil {
		t.Fatal(err)
	}
	endAfter(t, p)
	if !p.alive() {
		t.Error("not found by its start time")
	}
}

// onThread's threads never come back with a namespace of their own.
func TestThreadsAreNotReused(t *testing.T) {
	for range 100 {
		tid := make(chan int)
		onThread(func() { tid <- unix.Gettid() })
		if got := <-tid; got == os.Getpid() {
			t.Fatal("ran on the main thread")
		}
	}
}
