package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// programs are what the image holds, in /bin.
func programs() []string {
	return []string{"fairlead", "fairlead-agent", "fairlead-bandwidth", "fairlead-cni", "fairlead-controller", "fairlead-portmap"}
}

// chained says that a program is a reference plugin, which hack/plugins builds.
func chained(program string) bool {
	return program == "fairlead-bandwidth" || program == "fairlead-portmap"
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	root := flags.String("C", "../..", "Fairlead's source tree")
	out := flags.String("o", "", "archive to write")
	name := flags.String("name", "fairlead.dev/fairlead", "image name, without tag")
	tag := flags.String("tag", "dev", "image tag")
	arches := flags.String("arch", "amd64,arm64", "architectures")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("-o FILE is needed, and no argument")
	}
	work, err := os.MkdirTemp("", "fairlead-image-")
	if err != nil {
		return fmt.Errorf("make work folder: %w", err)
	}
	defer os.RemoveAll(work)
	var images []platformImage
	for arch := range strings.SplitSeq(*arches, ",") {
		bin := filepath.Join(work, arch)
		if err := compile(ctx, *root, bin, arch); err != nil {
			return err
		}
		img, err := newImage(bin, arch, *tag)
		if err != nil {
			return fmt.Errorf("make image for %s: %w", arch, err)
		}
		document, err := sbom(bin, arch, *tag)
		if err != nil {
			return fmt.Errorf("make SBOM for %s: %w", arch, err)
		}
		images = append(images, platformImage{img, arch, document})
	}
	digest, err := writeArchive(*out, *name+":"+*tag, images, filepath.Join(work, "layout"))
	if err != nil {
		return fmt.Errorf("write %s: %w", *out, err)
	}
	for _, p := range images {
		beside := strings.TrimSuffix(*out, ".tar") + "-" + p.arch + ".spdx.json"
		if err := os.WriteFile(beside, p.sbom, 0o644); err != nil {
			return fmt.Errorf("write SBOM: %w", err)
		}
	}
	fmt.Fprintf(stdout, "%s  %s:%s  %s\n", *out, *name, *tag, digest)
	return nil
}
