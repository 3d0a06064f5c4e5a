package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// bill is what went into the programs of one architecture, as the go command has
// noted it in each of them: their modules, and the Go release.
type bill struct {
	packages  map[common.ElementID]*v2_3.Package
	relations []*v2_3.Relationship
}

// sbom returns the SPDX document (version 2.3, JSON) of the programs in bin. The
// same programs give the same bytes.
func sbom(bin, arch, version string) ([]byte, error) {
	b := bill{packages: map[common.ElementID]*v2_3.Package{}}
	image := b.add("image", "fairlead", version, "")
	b.relate("DOCUMENT", common.TypeRelationshipDescribe, image)
	sum := sha256.New()
	for _, name := range programs() {
		content, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return nil, fmt.Errorf("read program: %w", err)
		}
		info, err := buildinfo.Read(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("read what %s was built from: %w", name, err)
		}
		sum.Write(content)
		b.program(image, name, version, content, info)
	}
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      fmt.Sprintf("fairlead %s for linux/%s", version, arch),
		DocumentNamespace: "https://fairlead.dev/spdx/" + hex.EncodeToString(sum.Sum(nil)),
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "fairlead-hack-image"}},
			Created:  made().Format(time.RFC3339),
		},
		Relationships: b.relations,
	}
	for _, id := range slices.Sorted(maps.Keys(b.packages)) {
		doc.Packages = append(doc.Packages, b.packages[id])
	}
	var out bytes.Buffer
	if err := spdxjson.Write(doc, &out, spdxjson.Indent(" ")); err != nil {
		return nil, fmt.Errorf("write SPDX document: %w", err)
	}
	return out.Bytes(), nil
}

// program adds one and what it is made of.
func (b *bill) program(image common.ElementID, name, version string, content []byte, info *debug.BuildInfo) {
	id := b.add("program", name, version, "")
	digest := sha256.Sum256(content)
	b.packages[id].PackageFileName = "/bin/" + name
	b.packages[id].PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(digest[:])}}
	b.relate(image, common.TypeRelationshipContains, id)
	b.relate(id, common.TypeRelationshipDependsOn, b.module("stdlib", strings.TrimPrefix(info.GoVersion, "go"), ""))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.relate(id, common.TypeRelationshipDependsOn, b.module(m.Path, m.Version, m.Sum))
	}
}

// module adds a Go module, by the package URL that scanners look it up by.
func (b *bill) module(path, version, sum string) common.ElementID {
	id := b.add("module", path, version, fmt.Sprintf("pkg:golang/%s@%s", path, version))
	// h1: is the SHA-256 of the list of the module's files, not of its archive: a
	// comment, not a checksum.
	if _, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && sum != "" {
		b.packages[id].PackageComment = "go.sum " + sum
	}
	return id
}

func (b *bill) add(kind, name, version, purl string) common.ElementID {
	id := common.ElementID(kind + "-" + idString(name+"-"+version))
	if b.packages[id] != nil {
		return id
	}
	p := &v2_3.Package{
		PackageName: name, PackageSPDXIdentifier: id, PackageVersion: version, PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
	}
	if purl != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{
			{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl},
		}
	} else {
		p.PackageLicenseDeclared = "Apache-2.0"
	}
	b.packages[id] = p
	return id
}

func (b *bill) relate(from common.ElementID, how string, to common.ElementID) {
	b.relations = append(b.relations, &v2_3.Relationship{
		RefA: common.DocElementID{ElementRefID: from}, Relationship: how, RefB: common.DocElementID{ElementRefID: to},
	})
}

// idString makes an SPDX identifier of a name: letters, digits, dot and hyphen.
func idString(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, name)
}
