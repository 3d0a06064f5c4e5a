package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const root = "../.."

// stage is the instructions of one build stage, as "WORD arguments".
type stage []string

// stages reads the Dockerfile: continued lines are joined, comments left out.
func stages(t *testing.T) []stage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var all []stage
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "FROM "):
			all = append(all, stage{line})
		default:
			all[len(all)-1] = append(all[len(all)-1], line)
		}
	}
	return all
}

func (s stage) all(word string) []string {
	var found []string
	for _, line := range s {
		if arguments, ok := strings.CutPrefix(line, word+" "); ok {
			found = append(found, arguments)
		}
	}
	return found
}

func (s stage) one(t *testing.T, word string) string {
	t.Helper()
	found := s.all(word)
	if len(found) != 1 {
		t.Fatalf("%d instructions %s in the last stage, want 1", len(found), word)
	}
	return found[0]
}

// TestSameConfiguration: what docker makes of the last stage is what newImage makes.
func TestSameConfiguration(t *testing.T) {
	last := stages(t)[1]
	if last[0] != "FROM scratch" || last.one(t, "COPY") != "--from=build /bin-out/ /bin/" {
		t.Errorf("the last stage holds more than the programs: %v", last)
	}
	var entrypoint []string
	if err := json.Unmarshal([]byte(last.one(t, "ENTRYPOINT")), &entrypoint); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, match := range regexp.MustCompile(`(\S+)="([^"]*)"`).FindAllStringSubmatch(last.one(t, "LABEL"), -1) {
		labels[match[1]] = strings.ReplaceAll(match[2], "$VERSION", "1.2.3")
	}
	bin := t.TempDir()
	for _, p := range programs() {
		if err := os.WriteFile(filepath.Join(bin, p), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	img, err := newImage(bin, "amd64", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := v1.Config{
		Env: last.all("ENV"), WorkingDir: last.one(t, "WORKDIR"), User: last.one(t, "USER"), Entrypoint: entrypoint, Labels: labels,
	}
	want := file.Config
	if !slices.Equal(got.Env, want.Env) || got.WorkingDir != want.WorkingDir || got.User != want.User ||
		!slices.Equal(got.Entrypoint, want.Entrypoint) || !maps.Equal(got.Labels, want.Labels) {
		t.Errorf("the Dockerfile makes\n%+v, hack/image\n%+v", got, want)
	}
}

// TestSamePrograms runs what the Dockerfile runs, here, and compares the programs
// with those of compile, byte for byte.
func TestSamePrograms(t *testing.T) {
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range stages(t)[0].all("RUN") {
		if command == "go mod download" {
			continue // they are here
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(command, "/bin-out", theirs))
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "TARGETARCH="+runtime.GOARCH, "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	if err := compile(t.Context(), root, ours, runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{theirs, ours} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, programs()) {
			t.Errorf("programs %v, want %v", names, programs())
		}
	}
	for _, p := range programs() {
		a, err := os.ReadFile(filepath.Join(theirs, p))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(ours, p))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, b) {
			t.Errorf("%s of the Dockerfile has %d bytes, that of hack/image %d, or others", p, len(a), len(b))
		}
	}
}
