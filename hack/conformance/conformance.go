// Package conformance asks CNI plugins what the CNI specification demands of them.
//
// An obligation is data and a function: one sentence, where it comes from, the
// versions of the specification that it is of, and a trial that a plugin stands
// or fails. There is a file for each verb; whoever adds an obligation adds it
// there, and to the tests a wrong plugin that fails it.
//
// Invariants: a trial looks at a plugin from outside only: what it prints, how it
// ends, what the kernel then holds, which packets pass, which processes are left.
// Nothing is known of a plugin but its configuration and the folder of its state,
// which is compared and removed and never read. Each trial has a node and
// containers of its own. Why a plugin fails is said in words without times, paths
// or random names, so that the same plugins give the same page.
package conformance

import (
	"fmt"
	"slices"
)

// Versions of the specification, oldest first.
func Versions() []string { return []string{v031, v040, v100, v110} }

const (
	v031 = "0.3.1"
	v040 = "0.4.0"
	v100 = "1.0.0"
	v110 = "1.1.0"
)

// Level is how much an obligation binds.
type Level string

// Levels (RFC 2119).
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Obligation is one thing that a plugin owes.
type Obligation struct {
	// ID starts with the verb and never changes.
	ID string
	// Text is the obligation in our words.
	Text string
	// Source is a version of the specification and its section, or fieldPractice.
	Source string
	Level  Level
	// Since and Until are the first and the last version that it is of; empty
	// for no bound.
	Since, Until string

	try func(*Trial)
}

// fieldPractice is the source of what no specification says, and what runtimes
// and people rely on.
const fieldPractice = "field practice"

// Sources in the specification. The older documents have no numbered sections:
// 0.3.1 and 0.4.0 say most of it under Parameters and Result.
const (
	specFormat   = "1.1.0 section 1"
	specParams   = "1.1.0 section 2, parameters"
	specErrors   = "1.1.0 section 2, errors"
	specAdd      = "1.1.0 section 2, ADD"
	specDel      = "1.1.0 section 2, DEL"
	specCheck    = "1.1.0 section 2, CHECK"
	specStatus   = "1.1.0 section 2, STATUS"
	specVersion  = "1.1.0 section 2, VERSION"
	specGC       = "1.1.0 section 2, GC"
	specRuntime  = "1.1.0 section 3"
	specResult   = "1.1.0 section 5, ADD success"
	specVersions = "1.1.0 section 5, VERSION success"
	specError    = "1.1.0 section 5, error"
	specIfName   = "0.4.0 parameters"
	specFamily   = "0.4.0 IP allocation"
)

// Applies says that the obligation is of that version of the specification.
func (o Obligation) Applies(version string) bool {
	return (o.Since == "" || !before(version, o.Since)) && (o.Until == "" || !before(o.Until, version))
}

// before says that version a is older than b. Both are of Versions.
func before(a, b string) bool {
	return slices.Index(Versions(), a) < slices.Index(Versions(), b)
}

// versions says in few words of which versions it is.
func (o Obligation) versions() string {
	switch {
	case o.Since == "" && o.Until == "":
		return "all"
	case o.Since == o.Until:
		return o.Since
	case o.Until == "":
		return o.Since + " on"
	case o.Since == "":
		return "up to " + o.Until
	default:
		return fmt.Sprintf("%s to %s", o.Since, o.Until)
	}
}

// Section is a part of the page.
type Section struct {
	Title       string
	Obligations []Obligation
}

// Sections are all obligations, in the order of the page.
func Sections() []Section {
	return []Section{
		{"All verbs", slices.Concat(protocolObligations(), configObligations())},
		{"ADD", slices.Concat(addObligations(), addResultObligations(), addRefusalObligations(), addParallelObligations())},
		{"DEL", slices.Concat(delObligations(), delTraceObligations())},
		{"CHECK", slices.Concat(checkObligations(), checkChainObligations())},
		{"GC", gcObligations()},
		{"STATUS", statusObligations()},
		{"VERSION", versionObligations()},
		{"By the library libcni", libraryObligations()},
	}
}

// Obligations are those of all sections.
func Obligations() []Obligation {
	var all []Obligation
	for _, s := range Sections() {
		all = append(all, s.Obligations...)
	}
	return all
}
