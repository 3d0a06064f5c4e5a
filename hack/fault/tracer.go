package fault

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer follows one program and what it starts, thread by thread. All of its
// methods belong to one thread.
type tracer struct {
	// leader is the program's process and its group.
	leader int
	at     Point
	// calls known by number, see the tables.
	known map[uint64]reader
	// entered are the calls that threads are in.
	entered map[int]Call
	// seen are the threads of which the first stop was seen.
	seen map[int]bool
	// netlink remembers sockets by their name in /proc: whether and which protocol.
	netlink map[string]int

	counts map[Kind]int
	calls  []Call
	status unix.WaitStatus
	killed bool
}

func newTracer(leader int, at Point) *tracer {
	return &tracer{
		leader: leader, at: at, known: table(),
		entered: map[int]Call{}, seen: map[int]bool{leader: true}, netlink: map[string]int{}, counts: map[Kind]int{},
	}
}

// follow is every way to make another thread or process, and the end of us.
const follow = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACEEXEC |
	unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK

// systemCall marks a stop at a system call (PTRACE_O_TRACESYSGOOD).
const systemCall = unix.SIGTRAP | 0x80

// run lets the program run until it and all that it started have ended.
func (t *tracer) run() error {
	began := false
	for {
		var ws unix.WaitStatus
		// Of this thread alone: others of the process wait for their own children.
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		}
		if !ws.Stopped() {
			t.ended(tid, ws)
			continue
		}
		signal := 0
		if began {
			signal = t.stopped(tid, ws)
		} else { // by exec, of which nobody was told anything yet
			began = true
			if err := unix.PtraceSetOptions(tid, follow); err != nil {
				return t.abandon(fmt.Errorf("set the options of ptrace: %w", err))
			}
		}
		// It may have been killed since it stopped.
		if err := unix.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return t.abandon(fmt.Errorf("continue: %w", err))
		}
	}
}

// abandon ends the program because of an error.
func (t *tracer) abandon(cause error) error {
	t.kill()
	for {
		tid, err := unix.Wait4(-1, &t.status, unix.WALL|unix.WNOTHREAD, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return cause
		}
		if err == nil && t.status.Stopped() {
			_ = unix.PtraceSyscall(tid, 0) // ESRCH: killed
		}
	}
}

func (t *tracer) kill() { _ = unix.Kill(-t.leader, unix.SIGKILL) }

func (t *tracer) ended(tid int, ws unix.WaitStatus) {
	if tid == t.leader {
		t.status = ws
	}
	delete(t.entered, tid)
	delete(t.seen, tid)
}

// stopped returns the signal to hand on.
func (t *tracer) stopped(tid int, ws unix.WaitStatus) int {
	signal := ws.StopSignal()
	switch {
	case signal == systemCall:
		t.systemCall(tid)
		return 0
	case signal == unix.SIGTRAP && ws.TrapCause() > 0: // PTRACE_EVENT_*
		if ws.TrapCause() == unix.PTRACE_EVENT_EXEC {
			clear(t.entered) // the thread goes on as the leader, the others are gone
		}
		return 0
	case signal == unix.SIGSTOP && !t.seen[tid]: // how a new thread begins
		t.seen[tid] = true
		return 0
	default:
		return int(signal)
	}
}

// callInfo is struct ptrace_syscall_info of include/uapi/linux/ptrace.h. What
// data holds depends on op: number and arguments, or result and its failure.
type callInfo struct {
	op   uint8
	_    [3]uint8
	_    uint32    // architecture
	_    [2]uint64 // instruction and stack pointer
	data [8]uint64
}

func (t *tracer) systemCall(tid int) {
	var info callInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return // killed
	}
	switch info.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		read, ok := t.known[info.data[0]]
		if !ok {
			return
		}
		// What the arguments point to is read before the kernel acts on it.
		kind, detail := read(thread{id: tid, tracer: t}, [6]uint64(info.data[1:7]))
		if kind != "" {
			t.entered[tid] = Call{Point: Point{Kind: kind}, Detail: detail}
		}
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		call, ok := t.entered[tid]
		delete(t.entered, tid)
		if failed := info.data[1]&0xff != 0; ok && !failed && !t.killed {
			t.returned(call)
		}
	}
}

func (t *tracer) returned(call Call) {
	t.counts[call.Kind]++
	call.Ordinal = t.counts[call.Kind]
	t.calls = append(t.calls, call)
	if call.Point == t.at {
		t.killed = true
		t.kill()
	}
}
