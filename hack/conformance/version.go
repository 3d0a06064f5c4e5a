package conformance

import (
	"regexp"
	"slices"
)

// VERSION tells which versions of the specification a plugin serves.

// versionAnswer is what VERSION prints.
type versionAnswer struct {
	CNIVersion        string
	SupportedVersions []string
}

func versionObligations() []Obligation {
	return []Obligation{
		{
			ID: "version-lists", Level: Must, Source: specVersions,
			Text: "VERSION prints one JSON object with the versions that the plugin serves, each once.",
			try: func(t *Trial) {
				v := t.versions(t.node(Large).call("VERSION"))
				seen := map[string]bool{}
				for _, version := range v.SupportedVersions {
					if seen[version] || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
						t.fail("a version is listed twice, or is none")
					}
					seen[version] = true
				}
				if !slices.Contains(v.SupportedVersions, t.version) {
					t.fail("the version that is served is not listed")
				}
			},
		},
		{
			ID: "version-echo", Level: Must, Source: specVersions,
			Text: "VERSION prints the cniVersion of its input.",
			try: func(t *Trial) {
				if t.versions(t.node(Large).call("VERSION")).CNIVersion != t.version {
					t.fail("VERSION prints another cniVersion than that of its input")
				}
			},
		},
		{
			ID: "version-environment", Level: Must, Source: specVersion,
			Text: "VERSION needs no variable but CNI_COMMAND, and no configuration but cniVersion.",
			try: func(t *Trial) {
				a := t.node(Large).call("VERSION", without("CNI_PATH"), input(`{"cniVersion":"`+t.version+`"}`))
				t.versions(a)
			},
		},
		{
			ID: "version-unknown", Level: Should, Source: fieldPractice,
			Text: "VERSION answers also who speaks a version that the plugin does not serve.",
			try: func(t *Trial) {
				t.versions(t.node(Large).call("VERSION", key("cniVersion", "99.0.0")))
			},
		},
	}
}

func (t *Trial) versions(a Answer) versionAnswer {
	t.succeeds(a, "VERSION")
	var v versionAnswer
	if err := only(a.Stdout, &v); err != nil || len(v.SupportedVersions) == 0 {
		t.fail("VERSION does not print one JSON object with versions")
	}
	return v
}
