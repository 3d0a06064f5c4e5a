package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// supervisor keeps the records of the lab's processes and hears of their deaths.
type supervisor struct {
	// records and logs are folders of the instance.
	records, logs string
	log           *slog.Logger
	// detach lets the processes outlive this one.
	detach bool

	mu        sync.Mutex
	processes map[string]*Process
	deaths    []error
}

// newSupervisor reads what another process of the lab recorded in the folders.
func newSupervisor(records, logs string, detach bool, log *slog.Logger) (*supervisor, error) {
	s := &supervisor{records: records, logs: logs, detach: detach, log: log, processes: map[string]*Process{}}
	for _, dir := range []string{records, logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make folder of processes: %w", err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(records, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read process: %w", err)
		}
		p := &Process{}
		if err := json.Unmarshal(data, p); err != nil {
			return nil, fmt.Errorf("read process %s: %w", path, err)
		}
		p.record, p.died, p.detach = path, s.died, s.detach
		s.processes[p.Name] = p
	}
	return s, nil
}

// start starts a process that the supervisor does not know yet.
func (s *supervisor) start(name string, env []string, argv ...string) (*Process, error) {
	p := s.own(&Process{Name: name, Argv: argv, Env: env})
	s.mu.Lock()
	_, known := s.processes[name]
	if !known {
		s.processes[name] = p
	}
	s.mu.Unlock()
	if known {
		return nil, fmt.Errorf("start %s: a process of this name is known", name)
	}
	return p, p.Start()
}

// launch starts a process, in place of one of its name if that has ended.
func (s *supervisor) launch(p *Process) error {
	if old, err := s.get(p.Name); err == nil {
		if old.Running() {
			return fmt.Errorf("start %s: it runs as %d", p.Name, old.Pid)
		}
		// Whether the end of its last life was wanted is asked before the next begins.
		if err := old.waitEnd(context.Background()); err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
	}
	s.mu.Lock()
	s.processes[p.Name] = s.own(p)
	s.mu.Unlock()
	return p.Start()
}

// own says where a process's record and log are, and who hears of its death.
func (s *supervisor) own(p *Process) *Process {
	p.Log, p.record = filepath.Join(s.logs, p.Name+".log"), filepath.Join(s.records, p.Name+".json")
	p.died, p.detach = s.died, s.detach
	return p
}

// forget drops a process that is gone for good.
func (s *supervisor) forget(p *Process) error {
	s.mu.Lock()
	delete(s.processes, p.Name)
	s.mu.Unlock()
	if err := os.Remove(p.record); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", p.Name, err)
	}
	return nil
}

func (s *supervisor) get(name string) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("process %q: not one of the lab's", name)
}

// all processes, sorted by name.
func (s *supervisor) all() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ps []*Process
	for _, p := range s.processes {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *Process) int { return strings.Compare(a.Name, b.Name) })
	return ps
}

// died reports a process that ended though nobody asked it to.
func (s *supervisor) died(p *Process, err error) {
	death := fmt.Errorf("%s (%d) ended by itself (%s); its log, %s, ends:\n%s", p.Name, p.Pid, outcome(err), p.Log, p.Tail())
	s.log.Error("a process of the lab ended by itself", "process", p.Name, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaths = append(s.deaths, death)
}

// dead is the error of every process that ended by itself, nil if none did.
func (s *supervisor) dead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.deaths...)
}

// stopAll ends all processes that match at once.
func (s *supervisor) stopAll(ctx context.Context, match func(name string) bool) error {
	var ps []*Process
	for _, p := range s.all() {
		if match(p.Name) {
			ps = append(ps, p)
		}
	}
	errs := make([]error, len(ps))
	var wg sync.WaitGroup
	for i, p := range ps {
		wg.Go(func() { errs[i] = p.Stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// outcome is how a process ended, in words.
func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
