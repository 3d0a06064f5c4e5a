package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// problems collects what is wrong with settings.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

func (p *problems) join() error { return errors.Join(*p...) }

func (p *problems) common(namespace, health, metrics string) {
	if msgs := validation.IsDNS1123Label(namespace); len(msgs) > 0 {
		p.add("namespace", "%q is not a namespace's name: %s", namespace, strings.Join(msgs, ", "))
	}
	p.listen("healthAddress", health)
	p.listen("metricsAddress", metrics)
	if health != "" && health == metrics {
		p.add("metricsAddress", "%q is the healthAddress too: give each its own port", metrics)
	}
}

func (p *problems) nodeName(key, name string) {
	if name == "" {
		p.add(key, "is required: the Node's metadata.name")
		return
	}
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		p.add(key, "%q is not a Node's name: %s", name, strings.Join(msgs, ", "))
	}
}

func (p *problems) positive(key string, d time.Duration) {
	if d <= 0 {
		p.add(key, "is %s: must be above zero, such as 30s or 5m", d)
	}
}

func (p *problems) absolute(key, path string) {
	if !filepath.IsAbs(path) {
		p.add(key, "%q must be an absolute path", path)
	}
}

func (p *problems) oneOf(key, value string, values ...string) {
	if !slices.Contains(values, value) {
		p.add(key, "%q must be one of %s", value, strings.Join(values, ", "))
	}
}

// listen accepts what net.Listen does, with the port as a number.
func (p *problems) listen(key, address string) {
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		p.add(key, "%q is not an address to listen on: write HOST:PORT, such as 127.0.0.1:9471 or [::1]:9471, or :PORT for every address", address)
	}
}
