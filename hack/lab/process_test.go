package lab

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newTestSupervisor(t *testing.T, log *slog.Logger) *supervisor {
	t.Helper()
	s, err := newSupervisor(t.TempDir(), t.TempDir(), false, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stopAll(testContext(), func(string) bool { return true }); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestProcessLives(t *testing.T) {
	s := newTestSupervisor(t, discard())
	p, err := s.start("sleeper", []string{"GREETING=hello"}, "sh", "-c", "echo $GREETING; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	waitTail(t, p, "hello")
	if err := p.Start(); err == nil {
		t.Error("it was started twice")
	}
	if _, err := s.start("sleeper", nil, "true"); err == nil {
		t.Error("a second process of the name was accepted")
	}
	first := p.Pid
	if err := p.Restart(t.Context()); err != nil || p.Pid == first || !p.Running() {
		t.Errorf("restart: pid %d, then %d: %v", first, p.Pid, err)
	}
	// Another process of the lab ends it by its record.
	other, err := newSupervisor(s.records, s.logs, true, discard())
	if err != nil {
		t.Fatal(err)
	}
	q, err := other.get("sleeper")
	if err != nil || q.Pid != p.Pid {
		t.Fatalf("record: %+v, %v", q, err)
	}
	if err := q.Stop(t.Context()); err != nil || p.Running() {
		t.Errorf("stop by its record: %v", err)
	}
	if err := q.Stop(t.Context()); err != nil {
		t.Errorf("stop of one that has ended: %v", err)
	}
	if err := s.dead(); err != nil {
		t.Errorf("wanted ends are reported: %v", err)
	}
}

func TestProcessThatIgnoresTerm(t *testing.T) {
	s := newTestSupervisor(t, discard())
	p, err := s.start("stubborn", nil, "sh", "-c", `trap "" TERM; echo up; while :; do sleep 1; done`)
	if err != nil {
		t.Fatal(err)
	}
	waitTail(t, p, "up")
	if err := p.Stop(t.Context()); err != nil || p.Running() {
		t.Errorf("Stop: %v", err)
	}
}

func TestUnexpectedDeathIsReported(t *testing.T) {
	var said bytes.Buffer
	s := newTestSupervisor(t, slog.New(slog.NewTextHandler(&said, nil)))
	if _, err := s.start("weak", nil, "sh", "-c", "echo last words; sleep 0.2; exit 3"); err != nil {
		t.Fatal(err)
	}
	err := poll(t.Context(), 10*time.Second, 10*time.Millisecond, "death", func(context.Context) error {
		if s.dead() == nil {
			return os.ErrNotExist
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := s.dead().Error(); !strings.Contains(text, "last words") || !strings.Contains(text, "exit status 3") {
		t.Errorf("report: %s", text)
	}
	if !strings.Contains(said.String(), "process=weak") {
		t.Errorf("log: %s", said.String())
	}
}

// Whether an end was wanted is asked of the life that ended, also where the next
// life follows at once.
func TestWantedEndBeforeANewStart(t *testing.T) {
	s := newTestSupervisor(t, discard())
	p, err := s.start("restless", nil, "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := p.MayEnd(true); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for p.Running() { // until it is a zombie, which is before it is waited for
			runtime.Gosched()
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.dead(); err != nil {
		t.Errorf("a wanted end is reported: %v", err)
	}
}

func TestReusedPidIsNotOurs(t *testing.T) {
	born, err := bornAt(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p := (&Process{Pid: os.Getpid(), Born: born}); !p.Running() {
		t.Error("a living process is not found")
	}
	p := &Process{Name: "older", record: t.TempDir() + "/older.json", Pid: os.Getpid(), Born: born - 1}
	if p.Running() {
		t.Error("another process of the same pid is taken for ours")
	}
	if err := p.Kill9(t.Context()); err != nil {
		t.Error(err)
	}
}

func waitTail(t *testing.T, p *Process, want string) {
	t.Helper()
	err := poll(t.Context(), 10*time.Second, 10*time.Millisecond, "output of "+p.Name, func(context.Context) error {
		if !strings.Contains(p.Tail(), want) {
			return os.ErrNotExist
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
