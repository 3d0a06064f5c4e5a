package host

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootID is random and new at each boot of the kernel (random(4)).
func BootID() (string, error) { return readID("/proc/sys/kernel/random/boot_id") }

// MachineID is the installation's own (machine-id(5)): it outlives reboots, and
// is the same on both when a disk was cloned without care.
func MachineID() (string, error) { return readID("/etc/machine-id") }

// SinceBoot is CLOCK_BOOTTIME: it never goes back and counts suspended time.
func SinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

func readID(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" {
		return "", fmt.Errorf("read id: %s is empty", file)
	}
	return id, nil
}
