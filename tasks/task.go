// Package tasks defines what a stage type is: a Schema of its body, and a Plan
// that turns one cell of a stage into steps. The types themselves are in the
// leaf folders, one a family, so that heavy libraries stay there.
package tasks

import (
	"io/fs"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
)

// A Task is a stage type. Plan is pure: it reads at most through the Block,
// touches nothing, and is called for each cell, maybe more than once and by
// several goroutines. The last step returned is the one that others refer to;
// earlier ones are Inner.
type Task interface {
	Schema() *Schema
	Plan(*Block) ([]engine.Step, hcl.Diagnostics)
}

// A Kind is the type of an attribute as a user thinks of it.
type Kind uint8

const (
	String Kind = iota
	Bool
	Number    // a whole number
	Strings   // a list of strings; a single string is taken as a list of one
	StringMap // a map of strings
	Duration  // "90s", "10m"
	Path      // a project-relative path, file or directory, or a stage's output
	Paths     // a list of those; patterns (doublestar) allowed; a single one is taken as a list of one
	Output    // an output path, relative to dist/ or to the stage's dir (Attr.InDir)
	Outputs   // a list of those
	StageRef  // a reference to a stage or a cell
	StageRefs // a list of those; a single one is taken as a list of one
	Any       // any value, checked by the task
)

// An Attr is one attribute of a stage type's body.
type Attr struct {
	Name     string
	Kind     Kind
	Required bool
	Enum     []string // allowed values of a String or Strings
	InDir    bool     // Output, Outputs: relative to the stage's dir, not to dist/
	Picks    bool     // StageRef, StageRefs: the step waits for the cells whose outputs it takes, not for all
	Some     bool     // StageRef: a stage that has no cells is an error; otherwise it is as good as null
	Default  string   // as written in the docs; the task applies it
	Doc      string   // one sentence
}

// A Nested is a block inside a stage's body, such as size {}. At most one of
// each type and label.
type Nested struct {
	Type   string
	Labels []string // names of its labels
	Attrs  []Attr
	Doc    string
}

// A Schema describes a stage type's body. It drives decoding, the docs check
// and editors.
type Schema struct {
	Type   string
	Doc    string // one sentence
	Traits Traits
	Attrs  []Attr
	Blocks []Nested
}

// Traits are what others need to know about a stage type: of its steps, and of
// what its plan asks for.
type Traits struct {
	engine.Traits
	// Timed: the outputs hold the source's time.
	Timed bool
	// Recipe: the plan states what it came from (Project.Recipe).
	Recipe bool
}

// A Ref is a reference to outputs of one step: what a path that came from
// another stage carries along.
type Ref struct {
	Step engine.StepID
	Path string // the output, project-relative; empty means the step as a whole
}

// A PathValue is a path in the project and, if another stage makes it, whose
// output it is.
type PathValue struct {
	Path  string // cleaned, slash-separated, project-relative
	Ref   *Ref   // nil: a file of the workspace
	Range hcl.Range
}

// A StageValue is a decoded reference to a stage or a cell.
type StageValue struct {
	Name  string // "vendor"
	Type  string // "go_vendor"
	Steps []StepOutputs
	Range hcl.Range
}

// StepOutputs are one step's output paths, project-relative.
type StepOutputs struct {
	ID      engine.StepID
	Cell    string
	Outputs []string
	Step    *engine.Step // as planned; read only
	// Platform is the cell's; nil if it has none.
	Platform *Platform
}

// Meta is what every stage has, evaluated for one cell.
type Meta struct {
	Dir         string // project-relative, "." for the project root
	Env         map[string]string
	PassEnv     map[string]string // name → value found; unset names are absent
	Secrets     map[string]string // of Env and PassEnv, the values that are sensitive
	Inputs      []string          // patterns relative to Dir, as written
	InputRefs   []PathValue       // inputs that are other stages' outputs or literal paths
	Timeout     time.Duration
	Retries     int
	Cache       bool
	Network     *bool  // sandbox { network }
	SandboxMode string // sandbox { inputs }: "", "declared", "workspace"
	CPU         int    // resources { cpu }
	Memory      int64  // resources { memory }, bytes; zero if not given
}

// A Platform is GOOS, GOARCH and the architecture's variant, from
// matrix.platform.
type Platform struct {
	OS, Arch, Variant string   // "linux", "arm", "v7"
	Env               []string // GOOS=…, GOARCH=…, GOARM=…
}

// A Project is what all stages of a file share.
type Project struct {
	Root    string // absolute; for in-plan look-ups only, never in a key
	Files   fs.FS  // the project, read only
	Dist    string // "dist"
	Source  Source
	Tags    TagRules
	Environ func(string) (string, bool)
	// FindTool resolves a program's name to an absolute path; the error says
	// where it was looked for.
	FindTool func(name string) (string, error)
	// Language evaluates template files.
	Language Language
	// Makes reports whether a stage of the file makes a project-relative path or
	// a folder above it, so that what is there now says nothing of what will be; nil: unknown.
	Makes func(path string) bool
	// Recipe says what the plan came from, for stages that state it; nil if
	// none does.
	Recipe *Recipe
	// FindCommit returns the hash of the commit that is planned, "" where there
	// is none; nil where nothing can be known. Asking may start git.
	FindCommit func() string
	// FindBuild returns the commit that is planned, as the go command sees it for the
	// version of a program; nil where there is none. Asking may start git.
	FindBuild func() (*Commit, error)
	// GoModules are directories that Go modules may lie in beside the user's
	// module cache: module caches and GOPROXY trees, absolute.
	GoModules []string
	// Confirmed: the user allowed this run to send things out, with --yes or
	// because it runs in CI.
	Confirmed bool
	// Memo keeps what stage types found out about the project while this plan
	// is made, by keys of types of their own; nil keeps nothing.
	Memo *sync.Map
	// Host is the machine that plans and runs.
	HostOS, HostArch string
}

// Commit returns the hash of the commit that is planned, or "" where it is not
// known. Asking may start git.
func (p *Project) Commit() string {
	if p == nil || p.FindCommit == nil {
		return ""
	}
	return p.FindCommit()
}

// A Commit is what the go command takes of a repository for the version of a program:
// see source.Build. Paths are relative to the repository.
type Commit struct {
	Hash     string
	Time     time.Time // UTC
	Modified bool      // files differ from the commit
	// Folder is the project's; Module the path of the module at the top. Empty: the
	// project is at the top; there is none.
	Folder, Module string
	// Tags are versions of modules that the commit has, Ancestors of commits before it.
	Tags, Ancestors []string
	// Mods are go.mod files that differ from the commit, with their module path there.
	Mods map[string]string
}

// TagRules are what the file's git block says of the tags that are versions: see
// source.Rules, which they become.
type TagRules struct {
	Prefix           string
	Ignore           []string
	PrereleaseSuffix string
	SkipPrereleases  bool
}

// A Recipe is what a plan came from.
type Recipe struct {
	Files     []RecipeFile // the Airbuildfile, then what it includes by name
	Variables []Variable   // by name; without sensitive ones
	Commit    string       // empty where it is not known
	Dirty     bool         // the sources had changes beside it
}

// A RecipeFile is an Airbuildfile or one that is included, project-relative.
type RecipeFile struct{ Name, SHA256 string }

// A Variable is one of the user's with its value as JSON.
type Variable struct{ Name, Value string }

// Source is the source's identity: of git, or of source.json.
type Source struct {
	Time  time.Time // commit time, UTC, whole seconds; zero where unknown
	Epoch int64
}

// A Block is one cell of a stage, evaluated: what Task.Plan gets. Values are
// already checked against the Schema; the getters never fail.
type Block struct {
	Type, Name  string
	Cell        string // "" for a stage without cells
	StepName    string // "bin[linux/amd64,yq]"
	Description string
	// First is the id that the first step returned by Plan will have, so that
	// Inner steps can be referred to.
	First    engine.StepID
	Meta     Meta
	Platform *Platform // nil if the cell has none
	Project  *Project
	Range    hcl.Range // of the stage's header

	// Values has an entry for each attribute that is set and not null,
	// converted to its Kind; nested blocks are under "block.attr" or, with
	// labels, "block.label.attr".
	Values map[string]Value
	// Labels lists the labels of each nested block type that is present, in
	// order; an unlabelled block has the label "".
	Labels map[string][]string
}

// A Value is one decoded attribute.
type Value struct {
	Cty       cty.Value // converted, unmarked
	Range     hcl.Range // of the expression
	Paths     []PathValue
	Stages    []StageValue
	Refs      []Ref // every step output the value was computed from
	Sensitive bool
	Duration  time.Duration
	// Empty says why a list of paths is empty, in a sentence.
	Empty string
}
