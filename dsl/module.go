// Package dsl turns the bytes of an Airbuildfile into blocks with source
// ranges, evaluates variables and locals, and supplies the functions.
//
// It touches no operating system: files come from an fs.FS, the environment
// and the source's identity from Inputs.
package dsl

import (
	"io/fs"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// A Module is one Airbuildfile with all that it includes: one namespace of
// variables, locals and blocks.
type Module struct {
	Name     string // the root file's name as given to Load
	Settings Settings

	Variables    map[string]*Variable
	Locals       map[string]*hclsyntax.Attribute
	Toolchains   []*Toolchain
	Stages       []*Stage    // in source order
	Pipelines    []*Pipeline // in source order
	Bundles      []*Bundle   // in source order
	Host         *Host       // nil if there is none
	Environments map[string]*Environment

	// Sources are the bytes of every file that was read, as written, by the
	// file name that stands in ranges. Eval adds the --var-files.
	Sources map[string][]byte
	// Incomplete means that something could not be read or parsed, so that
	// names may be missing: an unknown name is then not a mistake to report.
	Incomplete bool
	// Files is where include, file(), templatefile() and glob() read.
	Files fs.FS

	budget budget
}

// Settings is the airbuild block.
type Settings struct {
	RequiredVersion string // a constraint, checked by the caller; "" if not given
	RequiredRange   hcl.Range
	Dist            string // default "dist"
	Tags            TagRules
	Range           hcl.Range
}

// TagRules are what a git block says of the tags that are versions. The zero TagRules
// are those of a file without one.
type TagRules struct {
	Prefix           string   // of the tags of one component; not part of the version
	Ignore           []string // patterns of tags that do not count
	PrereleaseSuffix string   // begins what makes a tag a pre-release, beside the hyphen
	SkipPrereleases  bool     // tag_sort = "smartsemver"
}

// A Variable is a variable block.
type Variable struct {
	Name        string
	Type        cty.Type       // cty.DynamicPseudoType if not given
	Default     hcl.Expression // nil if there is none; may use git, source and host
	Env         string
	Description string
	Sensitive   bool
	Nullable    bool
	Validations []Validation
	Range       hcl.Range

	optional *typeexpr.Defaults // of optional object attributes; nil if there are none
	damaged  bool               // there is a syntax error in the block: the default may be lost
}

// A Validation is a validation block of a variable.
type Validation struct {
	Condition, ErrorMessage hcl.Expression
	Range                   hcl.Range
}

// A Toolchain is a toolchain block.
type Toolchain struct {
	Name    string // "go"
	Version hcl.Expression
	Range   hcl.Range
}

// A Stage is a stage block, not yet evaluated.
type Stage struct {
	Type, Name           string
	TypeRange, NameRange hcl.Range
	Body                 *hclsyntax.Body
	Range                hcl.Range // the header
	Damaged              bool      // there is a syntax error in it: what seems missing may be lost
	Module               *Module
}

// A Pipeline is a pipeline block, not yet evaluated.
type Pipeline struct {
	Name      string
	NameRange hcl.Range
	Body      *hclsyntax.Body
	Range     hcl.Range
	Damaged   bool // as for a Stage
	Module    *Module
}

// A Bundle is a bundle block, not yet evaluated.
type Bundle Pipeline

// A Host is the host block, not yet evaluated.
type Host struct {
	Body  *hclsyntax.Body
	Range hcl.Range
}

// An Environment is an environment block: values for variables.
type Environment struct {
	Name   string
	Values map[string]*hclsyntax.Attribute
	Range  hcl.Range
}

// Git is the source's identity, as `git` and `source` show it.
type Git struct {
	Commit, Short, Branch, Tag, Describe string
	PreviousTag, URL                     string
	Dirty                                bool
	CommitCount                          int
	Time                                 time.Time // commit time, UTC
}

// Inputs are what evaluation takes from outside.
type Inputs struct {
	Vars        map[string]string            // --var name=value, as written
	VarFiles    []string                     // --var-file, HCL or (.json) JSON; later ones win
	ReadFile    func(string) ([]byte, error) // reads a --var-file
	Environment string                       // --environment
	LookupEnv   func(string) (string, bool)
	Values      map[string]cty.Value // values for variables that precede all else (the parameters of a used pipeline)
	ValueRanges map[string]hcl.Range // where those stand
	// Git is called at most once, with the sorted names of the attributes of
	// git that the module mentions ("describe", "dirty", …; source.time and
	// source.epoch need "time"); nil means that none can be had.
	Git func(attrs []string) (*Git, error)
	// WantTime asks Git for "time" even if no expression mentions it: for
	// stages that stamp it into their outputs. It is then no mistake if none
	// can be had.
	WantTime         bool
	HostOS, HostArch string
}

// A Scope is a module with its variables and locals evaluated.
type Scope struct {
	Module *Module
	Vars   cty.Value // object
	Locals cty.Value // object
	Git    cty.Value
	Source cty.Value
	Host   cty.Value
	Epoch  int64     // of source.time, in seconds; zero if unknown
	Time   time.Time // source.time; zero if unknown

	funcs   map[string]function.Function
	secrets *secrets
}

// A Mark is what Sensitive values carry through evaluation.
type Mark string

// Sensitive marks values that must not be shown.
const Sensitive = Mark("sensitive")
