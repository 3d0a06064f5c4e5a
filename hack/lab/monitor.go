package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// monitorBound is how long `ip monitor` may take to listen.
const monitorBound = 10 * time.Second

// Monitor records every change of a namespace's routes, by `ip monitor`, so that
// one that is undone at once is seen too.
type Monitor struct {
	Role string
	lab  *Lab
	cmd  *exec.Cmd
	out  syncBuffer
}

// StartMonitor returns when every later change will be recorded.
func (l *Lab) StartMonitor(ctx context.Context, role string) (*Monitor, error) {
	line := enter(l.NSName(role), "ip", "-o", "-ts", "monitor", "route")
	m := &Monitor{Role: role, lab: l, cmd: exec.CommandContext(ctx, line[0], line[1:]...)}
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("monitor routes of %s: %w", role, err)
	}
	if err := m.reach(ctx, monitorFirst); err != nil {
		_ = m.cmd.Process.Kill() // it is of no use
		_ = m.cmd.Wait()
		return nil, err
	}
	return m, nil
}

// Routes that mark the recording's ends: documentation addresses in a table that
// nothing looks at, gone at once.
const (
	monitorFirst = "192.0.2.1"
	monitorLast  = "192.0.2.2"
	monitorTable = "52090"
)

// reach makes changes of its own until the recording has one of them: then
// it has all before.
func (m *Monitor) reach(ctx context.Context, mark string) error {
	return poll(ctx, monitorBound, 5*time.Millisecond, "ip monitor in "+m.Role, func(ctx context.Context) error {
		if strings.Contains(m.out.String(), mark) {
			return nil
		}
		for _, verb := range []string{"replace", "del"} {
			if _, err := m.lab.Exec(ctx, m.Role, "ip", "route", verb, "blackhole", mark, "table", monitorTable); err != nil {
				return err
			}
		}
		return fmt.Errorf("it has recorded: %s", m.out.String())
	})
}

// Of are the changes so far that concern exactly this prefix, a line each as
// `ip -o -ts monitor` writes it.
func (m *Monitor) Of(p netip.Prefix) []string {
	name := p.String()
	if p.IsSingleIP() {
		name = p.Addr().String()
	}
	var lines []string
	for line := range strings.Lines(m.out.String()) {
		for _, field := range strings.Fields(line) {
			if field == name {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}

// Deletions are those of the changes that took the prefix's route away.
func (m *Monitor) Deletions(p netip.Prefix) []string {
	var lines []string
	for _, line := range m.Of(p) {
		if strings.Contains(line, "Deleted") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Stop ends the recording, when it has every change up to now, and returns it.
func (m *Monitor) Stop(ctx context.Context) (string, error) {
	err := m.reach(ctx, monitorLast)
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait() // it was killed
	return m.out.String(), err
}

// syncBuffer is written by a child's output while it is read.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
