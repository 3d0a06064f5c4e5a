package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fairlead.dev/dataplane"
)

// Files of the store.
const (
	stateFile = "state.json"
	// tempFile has one name because only the lock's holder writes it: what a
	// killed writer left is overwritten or removed by the next holder.
	tempFile = "state.json.tmp"
	lockFile = "lock"
)

// lockWait bounds the wait for the lock. Holders do file work of about a
// millisecond, so a longer wait means that one is stopped or the machine stuck.
const lockWait = 10 * time.Second

// Errors of the store as a whole.
var (
	// ErrNotReady says that the agent has not created the store yet.
	ErrNotReady = errors.New("address store is not there yet")
	// ErrCorrupt says that the state cannot be read. The agent rebuilds it when it starts.
	ErrCorrupt = errors.New("address store is corrupt")
	// ErrNewer says, beside ErrCorrupt, that a newer program wrote the state, in a
	// format that this one cannot read.
	ErrNewer = errors.New("address store is of a newer Fairlead")
	// ErrBusy says that the lock was not free for lockWait.
	ErrBusy = errors.New("address store is locked by another process")
	// ErrIO says that the file system, or a limit of the process, refuses a file of the store.
	ErrIO = errors.New("address store cannot be read or written")
)

// Store is an address store on disk. Its methods may be called from several
// goroutines and processes.
type Store struct {
	dir string
}

// Open opens the store in dir. Without one the error is ErrNotReady. One that is
// just being made is there: who reads it waits for nothing and may hear
// ErrNotReady, who changes it waits until it is made.
func Open(dir string) (*Store, error) {
	switch _, err := os.Stat(filepath.Join(dir, lockFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open %s: %w", dir, ErrNotReady)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrIO, err)
	}
	return &Store{dir: dir}, nil
}

// Created says what Create found.
type Created struct {
	// Rebuilt is true if the allocations were taken from the kernel's routes, and
	// Addresses how many there are.
	Rebuilt   bool
	Addresses int
	// Aside is where an unreadable state file was moved to, if there was one.
	Aside string
}

// Create opens the store in dir, or makes it. It is the agent's alone: only the
// agent may say which addresses are in use when the store does not. A state
// that is there and readable is kept; otherwise the allocations are rebuilt
// from the pod routes that the kernel holds, as of now (podRoutes lists them; nil
// for a node without pods), and from what can be read of entries that the kernel
// does not tell of.
func Create(dir string, podRoutes func() ([]dataplane.PodRoute, error), now Stamp) (*Store, Created, error) {
	s := &Store{dir: dir}
	var made Created
	discardEmptied(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, made, fmt.Errorf("create address store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // an older folder, or a wider umask
		return nil, made, fmt.Errorf("create address store: %w", err)
	}
	lock, err := s.lock(os.O_CREATE)
	if err != nil {
		return nil, made, err
	}
	defer lock.release()
	_, data, err := s.read(lock.dir.ReadFile)
	switch {
	case err == nil:
		return s, made, nil
	case errors.Is(err, ErrCorrupt):
		if made.Aside, err = s.setAside(lock.dir); err != nil {
			return nil, made, err
		}
	case !errors.Is(err, ErrNotReady):
		return nil, made, err
	}
	// Listed under the lock: DEL takes the route away first and frees after that,
	// so one that has found no store to free in has left no route either.
	var routes []dataplane.PodRoute
	if podRoutes != nil {
		if routes, err = podRoutes(); err != nil {
			return nil, made, fmt.Errorf("list pod routes: %w", err)
		}
	}
	made.Rebuilt, made.Addresses = true, len(routes)
	return s, made, s.rebuild(lock.dir, append(rebuilt(routes, now), salvage(data)...))
}

// discardEmptied removes a folder in which there is nothing of a store but the
// file that a plugin is writing, which has kept somebody from removing the
// folder. The plugin holds the folder still, and would bring the old state back.
// One that cannot be removed, such as a mount, is used as it is.
func discardEmptied(dir string) {
	for range lockTries {
		entries, err := os.ReadDir(dir)
		if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != tempFile }) {
			return
		}
		if err := os.RemoveAll(dir); !errors.Is(err, unix.ENOTEMPTY) {
			return
		}
	}
}

func (s *Store) rebuild(dir *os.Root, entries []Allocation) error {
	state := State{Allocations: entries}
	state.sort()
	data, err := encode(&state)
	if err != nil {
		return err
	}
	return s.write(dir, data)
}

func (s *Store) setAside(dir *os.Root) (string, error) {
	aside := fmt.Sprintf("%s.corrupt-%d", stateFile, time.Now().UnixNano())
	if err := dir.Rename(stateFile, aside); err != nil {
		return "", fmt.Errorf("set the corrupt address store aside: %w", err)
	}
	return filepath.Join(s.dir, aside), nil
}

// Read returns the state without taking the lock.
func (s *Store) Read() (State, error) {
	state, _, err := s.read(func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(s.dir, name)) })
	return state, err
}

// Update runs change on the state under the lock and stores what it leaves. If
// change fails, nothing is stored and its error is returned as it is.
func (s *Store) Update(change func(*State) error) error {
	lock, err := s.lock(0)
	if err != nil {
		return err
	}
	defer lock.release()
	state, before, err := s.read(lock.dir.ReadFile)
	if err != nil {
		return err
	}
	if err := change(&state); err != nil {
		return err
	}
	after, err := encode(&state)
	if err != nil {
		return err
	}
	switch {
	case !lock.isTheStores():
		return fmt.Errorf("write %s: it was removed meanwhile: %w", s.dir, ErrNotReady)
	case string(after) == string(before):
		sweep(lock.dir)
		return nil
	default:
		return s.write(lock.dir, after)
	}
}

// lock takes the store's flock. It is the process's only while the file is
// open, so a killed holder frees it. Who waited for the lock of a folder that was
// removed and made again has locked nothing, and tries again.
func (s *Store) lock(flags int) (*lock, error) {
	for range lockTries {
		l, err := s.openLock(flags)
		if err != nil {
			return nil, err
		}
		if err := flock(int(l.file.Fd()), lockWait); err != nil {
			l.release()
			return nil, fmt.Errorf("lock %s: %w", filepath.Join(s.dir, lockFile), err)
		}
		if l.isTheStores() {
			return l, nil
		}
		l.release()
	}
	return nil, fmt.Errorf("lock %s: %w, it is removed again and again", s.dir, ErrBusy)
}

// lockTries is how often a store may be made anew while one waits for its lock.
const lockTries = 10

// lock is the store's, held.
type lock struct {
	// dir is the folder that it was found in. What its holder reads and writes is
	// in there and not in one that has been made in its place.
	dir  *os.Root
	file *os.File
	path string
}

func (s *Store) openLock(flags int) (*lock, error) {
	l := &lock{path: filepath.Join(s.dir, lockFile)}
	var err error
	if l.dir, err = os.OpenRoot(s.dir); err == nil {
		l.file, err = l.dir.OpenFile(lockFile, os.O_RDWR|flags, 0o600)
	}
	if err == nil {
		return l, nil
	}
	l.release()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lock %s: %w", s.dir, ErrNotReady)
	}
	return nil, fmt.Errorf("%w: lock %s: %w", ErrIO, s.dir, err)
}

func (l *lock) release() {
	if l.file != nil {
		_ = l.file.Close()
	}
	if l.dir != nil {
		_ = l.dir.Close()
	}
}

// isTheStores says that the file locked is the one that others find.
func (l *lock) isTheStores() bool {
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Stat(l.path)
	return err == nil && os.SameFile(ours, theirs)
}

// leastTries is how often the lock is tried at least: a machine that stood still
// for a while proves nothing about who holds it.
const leastTries = 1000

// flock polls, because flock(2) has no timeout: often, as holders need a fraction
// of a millisecond, and eight pods that start at once wait for each other here.
func flock(fd int, wait time.Duration) error {
	const slowest = 500 * time.Microsecond
	deadline := time.Now().Add(wait)
	pause := 100 * time.Microsecond
	for tries := 1; ; tries++ {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return err
		case tries >= leastTries && time.Now().After(deadline):
			return fmt.Errorf("%w, for %s", ErrBusy, wait)
		}
		time.Sleep(pause)
		pause = min(2*pause, slowest)
	}
}
