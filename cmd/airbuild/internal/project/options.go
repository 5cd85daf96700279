// Package project opens a project: it finds the Airbuildfile, plans it, decides
// whether the run is an offline one, finds toolchains, and opens the store and the
// workspace. What is done with an open project is for others.
package project

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/source"
)

// Options say how a project is found, planned and run.
type Options struct {
	LookupEnv   func(string) (string, bool)
	File        string   // the Airbuildfile; "": the nearest one, walking up from the working directory
	Vars        []string // "NAME=VALUE"
	VarFiles    []string
	Environment string
	Jobs        int // 0: one per CPU
	KeepGoing   bool
	Offline     bool
	OfflineSet  func() bool // whether the user said --offline, or its contrary; nil: no
	Paranoid    bool
	Cache       string // the cache's directory; "": $AIRBUILD_CACHE, or in the user's cache directory
	// CompileCache is "on", "off" or, for the default, empty.
	CompileCache string
	Sandbox      Sandboxing
	// Yes lets stages send things out.
	Yes bool
	// DryDeploy has deploy stages leave their roots alone, and DryPublish has
	// publish stages send nothing.
	DryDeploy, DryPublish bool
	Version               string // airbuild's
	// Password asks for the password of a secret key.
	Password func(ctx context.Context, name string) (string, error)
	// Show shows what is wrong with an Airbuildfile.
	Show ShowFunc
	// Notify shows a line that is no part of the result.
	Notify func(line string)
	// What differs for a run that shows that nothing depends on it, or that is
	// observed: see verify and audit.
	Vary   []string     // variables that steps get although no key holds them
	Tracer local.Tracer // nil: none
	Source *source.Info // instead of what git says; nil: ask
}

// A ShowFunc shows diagnostics, and returns an error if one of them is.
type ShowFunc func(diags hcl.Diagnostics, sources map[string][]byte) error

// FileName is the Airbuildfile's.
const FileName = "Airbuildfile"

// FindFile returns the project's root and the file's name in it: the file that
// was asked for, or the nearest one, walking up from the working directory.
func (o *Options) FindFile() (root, name string, err error) {
	if o.File != "" {
		abs, err := filepath.Abs(o.File)
		if err != nil {
			return "", "", fmt.Errorf("find %s: %w", o.File, err)
		}
		if fi, err := os.Stat(abs); err != nil {
			return "", "", exit.UsageError("--file: %w", err)
		} else if fi.IsDir() {
			return "", "", exit.UsageError("--file: %s is a directory", o.File)
		}
		return filepath.Dir(abs), filepath.Base(abs), nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", "", fmt.Errorf("find %s: %w", FileName, err)
	}
	for dir := wd; ; {
		if fi, err := os.Stat(filepath.Join(dir, FileName)); err == nil && fi.Mode().IsRegular() {
			return dir, FileName, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", "", exit.UsageError("there is no %s in %s or above it.\nTo write one: airbuild init", FileName, wd)
		}
		dir = up
	}
}

// Variables reads the --var flags.
func (o *Options) Variables() (map[string]string, error) {
	vars := map[string]string{}
	for _, v := range o.Vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, exit.UsageError("--var %q: want NAME=VALUE", v)
		}
		vars[name] = value
	}
	return vars, nil
}

// CacheDir is the store's directory: --cache, $AIRBUILD_CACHE, or airbuild in
// the user's cache directory.
func (o *Options) CacheDir() (string, error) {
	dir := o.Cache
	if dir == "" {
		dir, _ = o.LookupEnv("AIRBUILD_CACHE")
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find cache directory: %w; set AIRBUILD_CACHE", err)
		}
		dir = filepath.Join(base, "airbuild")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return abs, nil
}

// Confirmed reports whether stages may send things out: the user said so, or
// this is CI, where somebody decided it by what starts the job.
func (o *Options) Confirmed() bool {
	ci, _ := o.LookupEnv("CI")
	return o.Yes || ci != "" && ci != "false" && ci != "0"
}

// onOff are the values of --compile-cache and AIRBUILD_COMPILE_CACHE.
var onOff = []string{"on", "off"}

// WantsCompileCache reads --compile-cache or, without it, its variable.
func (o *Options) WantsCompileCache() (bool, error) {
	name, value := "--compile-cache", o.CompileCache
	if value == "" {
		name = "AIRBUILD_COMPILE_CACHE"
		value, _ = o.LookupEnv(name)
	}
	if value != "" && !slices.Contains(onOff, value) {
		return false, exit.UsageError("%s %q: want on or off", name, value)
	}
	return value != "off", nil
}
