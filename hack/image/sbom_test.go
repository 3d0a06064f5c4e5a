package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"slices"
	"testing"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

// TestSBOM: every module that the go command has noted in a program is in the
// document, which another's code reads. The stand-in of a program is this one.
func TestSBOM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, p := range programs() {
		if err := os.Symlink(self, filepath.Join(bin, p)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := sbom(bin, "arm64", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	again, err := sbom(bin, "arm64", "1.2.3")
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the same programs give other bytes, or %v", err)
	}
	var doc v2_3.Document
	if err := spdxjson.ReadInto(bytes.NewReader(text), &doc); err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(&doc); err != nil {
		t.Error(err)
	}
	var locators []string
	files := map[string]bool{}
	for _, p := range doc.Packages {
		for _, r := range p.PackageExternalReferences {
			if r.RefType == common.TypePackageManagerPURL {
				locators = append(locators, r.Locator)
			}
		}
		files[p.PackageFileName] = true
	}
	for _, m := range info.Deps {
		if want := "pkg:golang/" + m.Path + "@" + m.Version; !slices.Contains(locators, want) {
			t.Errorf("no %s in %v", want, locators)
		}
	}
	for _, p := range programs() {
		if !files["/bin/"+p] {
			t.Errorf("no program %s in the document", p)
		}
	}
}

func TestSBOMRefusesStrangers(t *testing.T) {
	bin := t.TempDir()
	for _, p := range programs() {
		if err := os.WriteFile(filepath.Join(bin, p), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sbom(bin, "amd64", "1.2.3"); err == nil {
		t.Error("no error for a program that no Go made")
	}
}
