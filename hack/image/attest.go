package main

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	inToto   types.MediaType = "application/vnd.in-toto+json"
	spdxType                 = "https://spdx.dev/Document"
)

// attestation is an image that holds the SBOM of another, as BuildKit stores it: in
// the same index, for a platform that no machine has, so that it goes along
// wherever the image is copied and nothing ever runs it.
func attestation(image v1.Image, document []byte) (mutate.IndexAddendum, error) {
	subject, err := image.Digest()
	if err != nil {
		return mutate.IndexAddendum{}, fmt.Errorf("digest: %w", err)
	}
	statement, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v0.1", "predicateType": spdxType, "predicate": json.RawMessage(document),
		"subject": []any{map[string]any{"name": "fairlead", "digest": map[string]string{subject.Algorithm: subject.Hex}}},
	})
	if err != nil {
		return mutate.IndexAddendum{}, fmt.Errorf("write statement: %w", err)
	}
	about, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer(statement, inToto), Annotations: map[string]string{"in-toto.io/predicate-type": spdxType},
	})
	if err != nil {
		return mutate.IndexAddendum{}, fmt.Errorf("append statement: %w", err)
	}
	file, err := about.ConfigFile()
	if err != nil {
		return mutate.IndexAddendum{}, fmt.Errorf("read configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.History = unknown, unknown, v1.Time{Time: made()}, nil
	if about, err = mutate.ConfigFile(about, file); err != nil {
		return mutate.IndexAddendum{}, fmt.Errorf("set configuration: %w", err)
	}
	return mutate.IndexAddendum{
		Add: mutate.ConfigMediaType(about, types.OCIConfigJSON),
		Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: unknown, Architecture: unknown},
			Annotations: map[string]string{
				"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject.String(),
			},
		},
	}, nil
}

const unknown = "unknown"
