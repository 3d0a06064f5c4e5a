package routes

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"fairlead.dev/dataplane/route"
	"fairlead.dev/hack/bench/rig"
)

// CompareEnv makes, when set to a number, a program one that compares so many
// routes by Compare.
const CompareEnv = "FAIRLEAD_BENCH_COMPARE"

// Compare compares as many wanted routes as CompareEnv says with the kernel's,
// and prints by how many KiB that raised its resident memory at the most. It is a
// process of its own, since nothing else may be in the figure.
func Compare() error {
	count, err := strconv.Atoi(os.Getenv(CompareEnv))
	if err != nil {
		return fmt.Errorf("%s: %w", CompareEnv, err)
	}
	table, err := route.Open()
	if err != nil {
		return err
	}
	want := generate(count)
	debug.FreeOSMemory()
	// The peak is that since now (proc(5)).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		return err
	}
	before, err := status("VmRSS:")
	if err != nil {
		return err
	}
	result, err := table.Apply(want, true)
	if err == nil && len(result.Failed) != 0 {
		err = fmt.Errorf("%d of %d routes are not installed", len(result.Failed), count)
	}
	peak, statusErr := status("VmHWM:")
	if err := errors.Join(err, statusErr, table.Close()); err != nil {
		return err
	}
	fmt.Println(peak - before)
	return nil
}

// status is a line of /proc/self/status, in KiB.
func status(key string) (int, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == key {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", key)
}

// compareMemory is what Compare prints, in MiB. The routes are there.
func (k *kernel) compareMemory(count int) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find our own program: %w", err)
	}
	var out strings.Builder
	d, err := rig.Start(k.ns, []string{CompareEnv + "=" + strconv.Itoa(count)}, nil, &out, self)
	if err != nil {
		return 0, err
	}
	said := d.Wait()
	kib, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		return 0, fmt.Errorf("compare in a process of its own: %w: %s", err, said)
	}
	return float64(kib) / 1024, nil
}
