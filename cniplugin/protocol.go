package cniplugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/containernetworking/cni/pkg/version"
)

// The CNI library's skeleton of a plugin is not used. It asks for CNI_PATH where
// the specification says optional; its errors have neither the protocol version
// nor, for environment variables, their names; VERSION answers with its own
// version and not the input's; and it compares the namespaces after ADD and DEL
// are done, so that a DEL with a path that has come to lead to the node's own
// namespace (/proc/PID/ns/net after a reboot) fails for ever.

// versions of the CNI specification that are served, and the first ones that
// have a verb that 0.3.1 has not.
const (
	currentVersion = "1.1.0"
	checkSince     = "0.4.0"
	gcSince        = "1.1.0"
	statusSince    = "1.1.0"
)

func supported() []string { return []string{"0.3.1", "0.4.0", "1.0.0", currentVersion} }

// Errors of a request as such.
var (
	// errEnv is an environment variable that is missing or cannot be used.
	errEnv = errors.New("invalid environment")
	// errInput is a configuration that could not be read from standard input.
	errInput = errors.New("cannot read the configuration")
	// errDecode is a configuration that is not the JSON that it must be.
	errDecode = errors.New("cannot decode the configuration")
	// errConf is a configuration that cannot be used.
	errConf = errors.New("invalid configuration")
	// errField is a key of the configuration that is not known.
	errField = errors.New("unsupported field")
	// errVersion is a version of the specification that is not served.
	errVersion = errors.New("incompatible CNI version")
)

// request is one execution of the plugin (CNI specification 1.1.0, section 2).
type request struct {
	verb                string
	containerID, ifName string
	netns, args         string
	// config is standard input; name and version are its name and cniVersion.
	config        []byte
	name, version string
}

// verb is one of the operations.
type verb struct {
	do func(plugin, request, io.Writer) error
	// needs are the required parameters, beside CNI_COMMAND.
	needs []string
	// since is the version of the specification that it came with.
	since string
}

// readEnvironment reads the parameters and checks those that the verb needs.
func readEnvironment(getenv func(string) string, verbs map[string]verb) (request, verb, error) {
	r := request{
		verb: getenv("CNI_COMMAND"), containerID: getenv("CNI_CONTAINERID"), ifName: getenv("CNI_IFNAME"),
		netns: getenv("CNI_NETNS"), args: getenv("CNI_ARGS"),
	}
	v, known := verbs[r.verb]
	if !known {
		return r, v, fmt.Errorf("%w: CNI_COMMAND is %q, must be one of ADD, DEL, CHECK, GC, STATUS and VERSION", errEnv, r.verb)
	}
	missing := slices.DeleteFunc(slices.Clone(v.needs), func(name string) bool { return getenv(name) != "" })
	if len(missing) > 0 {
		return r, v, fmt.Errorf("%w: %s needs %s", errEnv, r.verb, strings.Join(missing, ", "))
	}
	if slices.Contains(v.needs, "CNI_CONTAINERID") && !validName(r.containerID) {
		return r, v, fmt.Errorf("%w: CNI_CONTAINERID is %q, must be a letter or digit, then letters, digits, '_', '.', '-'", errEnv, r.containerID)
	}
	if slices.Contains(v.needs, "CNI_IFNAME") {
		if why := badIfName(r.ifName); why != "" {
			return r, v, fmt.Errorf("%w: CNI_IFNAME is %q, %s", errEnv, r.ifName, why)
		}
	}
	return r, v, nil
}

// validName is what the specification says of a container ID and of a network's name.
func validName(name string) bool {
	for i, c := range []byte(name) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return false
		}
	}
	return name != ""
}

// badIfName says why the kernel would not make a link of that name: dev_valid_name
// of net/core/dev.c, its patterns ("eth%d"), and the names of folders in
// /proc/sys/net/ipv4/conf that are no links.
func badIfName(name string) string {
	const most = 15 // IFNAMSIZ less the final zero
	switch {
	case len(name) > most:
		return fmt.Sprintf("must have at most %d bytes", most)
	case slices.Contains([]string{".", "..", "all", "default"}, name):
		return "which no interface can be called"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool {
		return strings.ContainsRune("/:%", c) || unicode.IsSpace(c) || unicode.IsControl(c)
	}):
		return "must be text without '/', ':', '%', spaces and control characters"
	default:
		return ""
	}
}

// readConfig reads standard input and checks what is of the protocol in it.
func (r *request) readConfig(stdin io.Reader, v verb) error {
	var err error
	if r.config, err = io.ReadAll(stdin); err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	var head struct {
		CNIVersion string `json:"cniVersion"`
		Name       string `json:"name"`
	}
	if err := json.Unmarshal(r.config, &head); err != nil {
		return fmt.Errorf("%w: %w", errDecode, err)
	}
	r.name, r.version = head.Name, head.CNIVersion
	switch {
	case r.version == "":
		return fmt.Errorf("%w: cniVersion is missing, which means 0.1.0; served are %s", errVersion, strings.Join(supported(), ", "))
	case !slices.Contains(supported(), r.version):
		return fmt.Errorf("%w: cniVersion is %q; served are %s", errVersion, r.version, strings.Join(supported(), ", "))
	}
	if old, err := version.GreaterThan(v.since, r.version); err != nil || old {
		return fmt.Errorf("%w: %s came with %s, the configuration's cniVersion is %s", errVersion, r.verb, v.since, r.version)
	}
	switch {
	case r.name == "":
		return fmt.Errorf("%w: name is missing, it must be the network's", errConf)
	case !validName(r.name):
		return fmt.Errorf("%w: name is %q, must be a letter or digit, then letters, digits, '_', '.', '-'", errConf, r.name)
	}
	return nil
}

// printVersion implements VERSION. The answer has the version of the input, as
// far as there is one: somebody who asks by hand need not know that there should be.
func printVersion(stdin io.Reader, stdout io.Writer) error {
	in := struct {
		CNIVersion string `json:"cniVersion"`
	}{}
	// Decode reads no further than the object's end: the input may never end.
	if stdin == nil || json.NewDecoder(stdin).Decode(&in) != nil || in.CNIVersion == "" {
		in.CNIVersion = currentVersion
	}
	return printJSON(stdout, struct {
		CNIVersion        string   `json:"cniVersion"`
		SupportedVersions []string `json:"supportedVersions"`
	}{in.CNIVersion, supported()})
}

func printJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// mentions says that the configuration may have one of the keys. Where it has
// none, which is usual, it need not be decoded again.
func (r request) mentions(keys ...string) bool {
	escaped := bytes.IndexByte(r.config, '\\') >= 0 // a key may be written so
	return escaped || slices.ContainsFunc(keys, func(key string) bool { return bytes.Contains(r.config, []byte(key)) })
}
