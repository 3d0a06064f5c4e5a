package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Usage is the help text of the process called name whose defaults cfg holds.
func Usage(name string, cfg Settings) string {
	return fmt.Sprintf(`Usage: %s [flags]

Each flag may also be given as the environment variable FAIRLEAD_<FLAG>, in
capitals with "_" for "-", or as a key of the --config file, in camelCase. A
flag wins over the environment, and that over the file.

%s`, name, flagSet(name, cfg).FlagUsagesWrapped(100))
}

// Table documents every setting as a Markdown table, in the order of its keys.
func Table(cfg Settings) string {
	var b strings.Builder
	b.WriteString("| Key | Flag | Environment | Type | Default | Meaning |\n|---|---|---|---|---|---|\n")
	flagSet("", cfg).VisitAll(func(f *pflag.Flag) {
		key := "`" + keyName(f.Name) + "`"
		if f.Name == fileFlag {
			key = ""
		}
		value := "empty"
		if f.DefValue != "" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&b, "| %s | `--%s` | `%s` | %s | %s | %s |\n",
			key, f.Name, envName(f.Name), kindOf(f), value, f.Usage)
	})
	return b.String()
}

// kindOf says in words what a setting's value must be.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a duration such as 30s or 5m"
	case "bool":
		return "true or false"
	case "uint32":
		return "a number"
	case "": // pflag's TextVar names pointer types so
		return "a log level: debug, info, warn or error"
	default:
		return "text"
	}
}
