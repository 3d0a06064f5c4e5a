package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Settings is a Controller or an Agent.
type Settings interface {
	// Bind defines each setting as a flag whose default is the present value.
	Bind(fs *pflag.FlagSet)
	// Validate joins everything that is wrong, naming keys.
	Validate() error
}

// fileFlag names the settings file. It has no file key of its own.
const fileFlag = "config"

// Load fills cfg, which holds the defaults, from the file that --config or
// FAIRLEAD_CONFIG names, from environ ("KEY=value" as of os.Environ) and from
// args (without the program's name), and validates the outcome. Its error joins
// everything that is wrong. It is pflag.ErrHelp when args ask for help: print Usage.
func Load(name string, args, environ []string, cfg Settings) error {
	fs := flagSet(name, cfg)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return fmt.Errorf("read flags of %s: %w", name, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("read flags of %s: unexpected argument %q", name, fs.Arg(0))
	}
	set := flagsGiven(fs)
	errs := []error{applyEnv(fs, environ, set)}
	if path := fs.Lookup(fileFlag).Value.String(); path != "" {
		errs = append(errs, applyFile(fs, path, set))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("settings of %s: %w", name, err)
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("settings of %s: %w", name, err)
	}
	return nil
}

// flagSet is the one definition that file, environment, flags, help and the
// documentation are all read from.
func flagSet(name string, cfg Settings) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = true
	fs.Usage = func() {} // the caller prints it, to where it wants
	fs.String(fileFlag, "", "Path of a YAML file with settings by their keys.")
	cfg.Bind(fs)
	return fs
}

// flagsGiven are the names of the flags that the arguments set.
func flagsGiven(fs *pflag.FlagSet) map[string]bool {
	set := map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { set[f.Name] = true })
	return set
}

// applyEnv takes every setting that set does not hold from its variable, and
// adds it to set. An unknown FAIRLEAD_ variable is no error: the kubelet puts
// some there for each Service of the namespace whose name starts with fairlead.
func applyEnv(fs *pflag.FlagSet, environ []string, set map[string]bool) error {
	vars := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		v, ok := vars[envName(f.Name)]
		if !ok || set[f.Name] {
			return
		}
		set[f.Name] = true
		if err := f.Value.Set(v); err != nil {
			errs = append(errs, invalid(envName(f.Name), v, f, err))
		}
	})
	return errors.Join(errs...)
}

// applyFile takes every setting that set does not hold from the file.
func applyFile(fs *pflag.FlagSet, path string, set map[string]bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read settings file: %w", err)
	}
	values, err := parse(raw)
	if err != nil {
		return fmt.Errorf("settings file %s: %w", path, err)
	}
	byKey := flagsByKey(fs)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		f, ok := byKey[key]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("settings file %s: unknown key %q: the nearest is %q",
				path, key, nearest(key, slices.Sorted(maps.Keys(byKey)))))
		case set[f.Name]:
		default:
			if err := f.Value.Set(values[key]); err != nil {
				errs = append(errs, fmt.Errorf("settings file %s: %w", path, invalid(key, values[key], f, err)))
			}
		}
	}
	return errors.Join(errs...)
}

func flagsByKey(fs *pflag.FlagSet) map[string]*pflag.Flag {
	byKey := map[string]*pflag.Flag{}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name != fileFlag {
			byKey[keyName(f.Name)] = f
		}
	})
	return byKey
}

func invalid(where, value string, f *pflag.Flag, err error) error {
	return fmt.Errorf("%s: %q is not %s: %w", where, value, kindOf(f), err)
}
