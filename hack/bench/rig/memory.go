package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// RSS is the resident memory of processes in MiB, the sum of all.
func RSS(pids ...int) (float64, error) {
	total := 0
	for _, pid := range pids {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		kib, err := rss(string(data))
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		total += kib
	}
	return float64(total) / 1024, nil
}

// rss reads the line "Rss:   1234 kB" (proc(5)).
func rss(rollup string) (int, error) {
	for line := range strings.Lines(rollup) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "Rss:" && fields[2] == "kB" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("no Rss in %q", rollup)
}
