package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// userLand is what upstream's tests call in their containers, from this machine:
// its programs with their shared libraries, and busybox for all the rest.
func userLand(ctx context.Context) (tree, error) {
	t := tree{
		"tmp":  dir(0o777 | 0o1000),
		"root": dir(0o700),
		"home": dir(0o755),
		// A program is found wherever it is looked for.
		"sbin": symlink("bin"), "usr/bin": symlink("../bin"), "usr/sbin": symlink("../bin"),
		// Upstream's image has this user and this group, and tests ask for them.
		"etc/passwd": text("root:x:0:0:root:/root:/bin/sh\n" +
			"user-defined-in-image:x:1000:1000::/home:/bin/sh\n" +
			"nobody:x:65534:65534:nobody:/:/bin/false\n"),
		"etc/group": text("root:x:0:\n" +
			"user-defined-in-image:x:1000:\n" +
			"group-defined-in-image:x:50000:user-defined-in-image\n" +
			"nogroup:x:65534:\n"),
		"etc/nsswitch.conf": text("passwd: files\ngroup: files\nhosts: files dns\n"),
	}
	// Debian's busybox shell takes its own applets before it looks at PATH, and
	// its nc knows no -u: the shell must be another.
	programs := map[string]string{
		"bash": "bash", "busybox": "busybox", "curl": "curl", "dig": "dig", "getent": "getent",
		"ip": "ip", "nc": "nc.openbsd", "sh": "dash", "ss": "ss",
	}
	for name, from := range programs {
		path, err := exec.LookPath(from)
		if err != nil {
			return nil, fmt.Errorf("find %s, which hack/setup.sh packages installs: %w", from, err)
		}
		if err := t.program(ctx, "bin/"+name, path); err != nil {
			return nil, err
		}
	}
	applets, err := exec.CommandContext(ctx, "busybox", "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list applets of busybox: %w", err)
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if !t.has("bin/" + applet) {
			t["bin/"+applet] = symlink("busybox")
		}
	}
	return t, nil
}

// program puts a program there, and its shared libraries where its loader looks
// for them.
func (t tree) program(ctx context.Context, name, from string) error {
	if err := t.copy(name, from); err != nil {
		return err
	}
	libraries, err := libraries(ctx, from)
	if err != nil {
		return err
	}
	for _, l := range libraries {
		if t.has(l[1:]) {
			continue
		}
		if err := t.copy(l[1:], l); err != nil {
			return err
		}
	}
	return nil
}

var library = regexp.MustCompile(`(/\S+) \(0x`)

// libraries lists a program's shared libraries, its loader among them. A static
// program has none.
func libraries(ctx context.Context, program string) ([]string, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return nil, fmt.Errorf("list libraries: %w", err)
	}
	cmd := exec.CommandContext(ctx, "ldd", real)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("list libraries of %s: %w\n%s", program, err, out)
	}
	if bytes.Contains(out, []byte("not found")) {
		return nil, fmt.Errorf("list libraries of %s: %s", program, out)
	}
	var found []string
	for _, m := range library.FindAllSubmatch(out, -1) {
		found = append(found, string(m[1]))
	}
	return found, nil
}
