package main

import (
	"context"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An image has one content and the names that it is known by.
type image struct {
	names  []string
	layers []v1.Layer
	config v1.Config
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// archives are the images by the file that holds them. The versions are those
// that k8s.io/kubernetes v1.35 asks for.
func archives(ctx context.Context, bin, certs string) (map[string][]image, error) {
	pause, err := program(bin, "pause")
	if err != nil {
		return nil, err
	}
	coredns, err := program(bin, "coredns")
	if err != nil {
		return nil, err
	}
	user, err := userLand(ctx)
	if err != nil {
		return nil, err
	}
	users, err := user.layer()
	if err != nil {
		return nil, err
	}
	agnhost, err := agnhostLayer(bin, certs)
	if err != nil {
		return nil, err
	}
	return map[string][]image{
		"pause.tar": {{
			names:  []string{"registry.k8s.io/pause:3.10.1"},
			layers: []v1.Layer{pause},
			config: v1.Config{Env: []string{searchPath}, Entrypoint: []string{"/pause"}, User: "65535:65535", WorkingDir: "/"},
		}},
		"coredns.tar": {{
			names:  []string{"registry.k8s.io/coredns/coredns:v1.13.1"},
			layers: []v1.Layer{coredns},
			config: v1.Config{Env: []string{searchPath}, Entrypoint: []string{"/coredns"}, WorkingDir: "/"},
		}},
		// In one archive, so that their common layer is there once.
		"agnhost.tar": {{
			names: []string{
				"registry.k8s.io/e2e-test-images/agnhost:2.59",
				"registry.k8s.io/e2e-test-images/agnhost:2.55",
				"registry.k8s.io/e2e-test-images/jessie-dnsutils:1.7",
			},
			layers: []v1.Layer{users, agnhost},
			config: v1.Config{Env: []string{searchPath}, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, WorkingDir: "/"},
		}, {
			names:  []string{"registry.k8s.io/e2e-test-images/busybox:1.37.0-1"},
			layers: []v1.Layer{users},
			config: v1.Config{Env: []string{searchPath}, Cmd: []string{"sh"}, WorkingDir: "/"},
		}},
	}, nil
}

// program is a layer with that program alone, in /.
func program(bin, name string) (v1.Layer, error) {
	t := tree{}
	if err := t.copy(name, filepath.Join(bin, name)); err != nil {
		return nil, err
	}
	return t.layer()
}

// agnhostLayer holds agnhost, the second name that a test calls it by, and the
// certificate of its TLS ports.
func agnhostLayer(bin, certs string) (v1.Layer, error) {
	t := tree{"agnhost-2": symlink("agnhost"), "uploads": dir(0o755)}
	for name, from := range map[string]string{
		"agnhost":       bin,
		"localhost.crt": certs,
		"localhost.key": certs,
	} {
		if err := t.copy(name, filepath.Join(from, name)); err != nil {
			return nil, err
		}
	}
	return t.layer()
}
