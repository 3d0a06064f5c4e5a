package conformance

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Page writes what a run found, as Markdown. The same outcomes give the same bytes.
func Page(w io.Writer, plugins []Plugin, rows []Row) error {
	p := page{plugins: plugins, rows: map[string]Row{}}
	for _, r := range rows {
		p.rows[r.ID] = r
	}
	p.head()
	for _, s := range Sections() {
		p.section(s)
	}
	p.notMet(Failed, "What is not met")
	p.notMet(Departed, "Where a plugin departs for a reason")
	_, err := io.WriteString(w, p.text.String())
	return err
}

type page struct {
	plugins []Plugin
	rows    map[string]Row
	text    strings.Builder
}

const pageHead = `# CNI conformance

<!-- Written by make conformance. Do not edit. -->

What the CNI specification, and those who rely on CNI plugins, demand of a plugin, and which
plugins do it. ` + "`make conformance`" + ` executes the plugins as container runtimes do, by the library
libcni or by the protocol itself, in network namespaces, and judges from outside: by what they
print, how they end, what the kernel then holds and which packets pass. ` + "`make test`" + ` holds
the same trials of our plugin. The suite is in hack/conformance, a file for each verb.

Each obligation is tried in the versions of the specification that it is of and that the plugin
says it serves, on a network of both families. Field practice is what the specification does not
say and runtimes or people rely on.

`

func (p *page) head() {
	p.text.WriteString(pageHead)
	versions := strings.Join(Versions(), ", ")
	fmt.Fprintf(&p.text, "Under a plugin's name is a mark for each of the versions %s:\n", versions)
	p.text.WriteString("✓ met, ✗ not met, D not met for a reason, · not of this version or the version is not served.\n\n")
	p.text.WriteString("| Plugin | Tested | MUST met | SHOULD met |\n|---|---|---|---|\n")
	for i, plugin := range p.plugins {
		fmt.Fprintf(&p.text, "| %s | %s | %s | %s |\n", plugin.Name, plugin.About, p.count(i, Must), p.count(i, Should))
	}
}

// count says how many trials of a level were met.
func (p *page) count(plugin int, level Level) string {
	met, tried := 0, 0
	for _, r := range p.rows {
		for _, o := range r.Outcomes[plugin] {
			if r.Level != level || o.Verdict == NotTried {
				continue
			}
			tried++
			if o.Verdict == Met {
				met++
			}
		}
	}
	return fmt.Sprintf("%d of %d", met, tried)
}

func (p *page) section(s Section) {
	fmt.Fprintf(&p.text, "\n## %s\n\n| ID | Obligation | Source | Level | Versions |", s.Title)
	for _, plugin := range p.plugins {
		fmt.Fprintf(&p.text, " %s |", plugin.Name)
	}
	p.text.WriteString("\n|---|---|---|---|---|" + strings.Repeat("---|", len(p.plugins)) + "\n")
	for _, o := range s.Obligations {
		p.text.WriteString(o.line())
		for i := range p.plugins {
			fmt.Fprintf(&p.text, " %s |", marks(p.rows[o.ID].Outcomes[i]))
		}
		p.text.WriteString("\n")
	}
}

// line is what the page says of an obligation, before the outcomes.
func (o Obligation) line() string {
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |", o.ID, o.Text, o.Source, o.Level, o.versions())
}

func marks(outcomes []Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		b.WriteString(o.Verdict.mark())
	}
	return b.String()
}

func (v Verdict) mark() string {
	switch v {
	case Met:
		return "✓"
	case Failed:
		return "✗"
	case Departed:
		return "D"
	default:
		return "·"
	}
}

// notMet lists the outcomes of one verdict with what was seen, and why it is
// meant if it is.
func (p *page) notMet(verdict Verdict, title string) {
	var lines []string
	for _, o := range Obligations() {
		for i, plugin := range p.plugins {
			for _, f := range p.rows[o.ID].findings(i, verdict) {
				why := f.why
				if verdict == Departed {
					why += "; " + plugin.Departs[o.ID]
				}
				lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |\n", o.ID, plugin.Name, strings.Join(f.versions, ", "), why))
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(&p.text, "\n## %s\n\n| ID | Plugin | Versions | Why |\n|---|---|---|---|\n%s", title, strings.Join(lines, ""))
}

// finding is why a trial was not met, in the versions in which it was so.
type finding struct {
	why      string
	versions []string
}

func (r Row) findings(plugin int, verdict Verdict) []finding {
	found := map[string][]string{}
	for i, o := range r.Outcomes[plugin] {
		if o.Verdict == verdict {
			found[o.Why] = append(found[o.Why], Versions()[i])
		}
	}
	var all []finding
	for _, why := range slices.Sorted(maps.Keys(found)) {
		all = append(all, finding{why, found[why]})
	}
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(a.versions[0], b.versions[0]) })
	return all
}
