package flow

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Burst is how many packets a flow sends at once, and the least that it sends.
	Burst = 5
	// interval between two bursts: 10,000 packets a second.
	interval = 500 * time.Microsecond
	// catchUp is how many bursts a sender that was kept waiting makes up for at
	// once. More would overrun the 1,000 packets that a CPU's queue holds.
	catchUp = 4
	// InFlight is how many packets may be on their way together, and overtaken by
	// later ones when these get a shorter way.
	InFlight = (1 + catchUp) * Burst
)

// send sends until the flow is stopped.
func (f *Flow) send() {
	defer f.finish()
	// One CPU hands packets on in the order in which it got them; two do not.
	// The thread ends with the goroutine.
	runtime.LockOSThread()
	if err := stayOnCPU(); err != nil {
		f.refused = err
		return
	}
	var b [size]byte
	binary.BigEndian.PutUint64(b[:], f.id)
	due := time.Now()
	for {
		for range Burst {
			binary.BigEndian.PutUint64(b[8:], uint64(f.sent))
			f.sent++
			if _, err := f.out.WriteToUDPAddrPort(b[:], f.way.Target); err != nil && f.refused == nil {
				f.refused = fmt.Errorf("packet %d: %w", f.sent-1, err)
			}
		}
		due = due.Add(interval)
		if late := time.Since(due); late > catchUp*interval {
			due = due.Add(late - catchUp*interval)
		}
		select {
		case <-f.stop:
			return
		case <-time.After(time.Until(due)):
		}
	}
}

// finish lets the receiver end, at once if it has everything.
func (f *Flow) finish() {
	f.total.Store(int64(f.sent))
	deadline := time.Now()
	if f.received.Load() < int64(f.sent) {
		deadline = deadline.Add(patience)
	}
	_ = f.in.SetReadDeadline(deadline) // on an open socket it cannot fail
}

// stayOnCPU keeps the calling thread on the CPU where it is.
func stayOnCPU() error {
	var cpu unix.CPUSet
	n, err := currentCPU()
	if err != nil {
		return err
	}
	cpu.Set(n)
	if err := unix.SchedSetaffinity(0, &cpu); err != nil {
		return fmt.Errorf("stay on CPU %d: %w", n, err)
	}
	return nil
}

// currentCPU is the 39th field of the thread's stat (proc(5)).
func currentCPU() (int, error) {
	stat, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		return 0, fmt.Errorf("find the CPU: %w", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 37 {
		return 0, fmt.Errorf("find the CPU: %d fields in %q", len(fields), stat)
	}
	return strconv.Atoi(fields[36])
}

// overrun counts the packets that this machine's CPUs have dropped because their
// queues were full: the second column of softnet_stat, a line a CPU, which are the
// same in every namespace.
func overrun() (int, error) {
	stat, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return 0, fmt.Errorf("count packets dropped by CPUs: %w", err)
	}
	sum := 0
	for line := range strings.Lines(string(stat)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return 0, fmt.Errorf("count packets dropped by CPUs: line %q", line)
		}
		n, err := strconv.ParseUint(fields[1], 16, 32)
		if err != nil {
			return 0, fmt.Errorf("count packets dropped by CPUs: %w", err)
		}
		sum += int(n)
	}
	return sum, nil
}
