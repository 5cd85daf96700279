package buildvcs

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

// Variable holds the Answers in the environment of a go command.
const Variable = "AIRBUILD_GO_VCS"

// Answers are what the stand-in for git says: a repository that has just what the go
// command needs to derive the given versions.
type Answers struct {
	Hash     string
	Time     int64 // seconds since 1970
	Modified bool
	Silent   bool `json:",omitempty"` // no version is derived
	// Tags are those of the commit, Ancestors those before it; Mods are its go.mod
	// files with their module paths.
	Tags      []string          `json:",omitempty"`
	Ancestors []string          `json:",omitempty"`
	Mods      map[string]string `json:",omitempty"`
}

// A Stamp is what is written into programs: the commit, and the versions of modules
// by their paths.
type Stamp struct {
	Hash     string
	Time     time.Time
	Modified bool
	Versions map[string]string
}

// Answers are those from which the go command derives the stamp, where the module at
// the top of the repository, as it sees it, has one of the given paths.
func (s *Stamp) Answers(roots ...string) *Answers {
	a := &Answers{Hash: s.Hash, Time: s.Time.Unix(), Modified: s.Modified, Mods: map[string]string{}, Silent: true}
	for _, modPath := range slices.Sorted(maps.Keys(s.Versions)) {
		version := s.Versions[modPath]
		a.Silent = a.Silent && version == Devel
		for _, root := range roots {
			if m, ok := place(root, modPath); ok {
				a.add(m, version)
			}
		}
	}
	slices.Sort(a.Tags)
	slices.Sort(a.Ancestors)
	a.Tags, a.Ancestors = slices.Compact(a.Tags), slices.Compact(a.Ancestors)
	return a
}

// add lets the go command derive one version.
func (a *Answers) add(m mod, version string) {
	file := path.Join(m.dir, "go.mod")
	if _, taken := a.Mods[file]; taken && m.both {
		file = path.Join(m.dir, m.major[1:], "go.mod")
	}
	if version == Devel {
		a.Mods[file] = "" // names no module: there is no version
		return
	}
	version = strings.TrimSuffix(strings.TrimSuffix(version, "+dirty"), ".dirty")
	version, incompatible := strings.CutSuffix(version, "+incompatible")
	if !incompatible {
		a.Mods[file] = m.path
	}
	if !module.IsPseudoVersion(version) {
		a.Tags = append(a.Tags, m.prefix()+version)
	} else if base, err := module.PseudoVersionBase(version); err == nil && base != "" {
		a.Ancestors = append(a.Ancestors, m.prefix()+base)
	}
}

// Env is the variable for the go command.
func (a *Answers) Env() (string, error) {
	b, err := json.Marshal(a)
	return Variable + "=" + string(b), err
}

// Main does what git would and ends the process, if this process was started in its
// place. Otherwise it returns.
func Main() {
	text, ok := os.LookupEnv(Variable)
	if name := strings.TrimSuffix(strings.ToLower(filepath.Base(os.Args[0])), ".exe"); !ok || name != "git" {
		return
	}
	var a Answers
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		fmt.Fprintln(os.Stderr, "git (airbuild): read", Variable+":", err)
		os.Exit(2)
	}
	if err := a.answer(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "git (airbuild):", err)
		os.Exit(128)
	}
	os.Exit(0)
}

// answer answers one command line of those that the go command asks to stamp a
// program. It fails as git does for what a repository has not.
func (a *Answers) answer(argv []string, w io.Writer) error {
	for len(argv) > 1 && argv[0] == "-c" {
		argv = argv[2:]
	}
	if len(argv) == 0 {
		return fmt.Errorf("no command")
	}
	has := func(arg string) bool { return slices.Contains(argv, arg) }
	var out string
	switch last := argv[len(argv)-1]; argv[0] {
	case "status":
		if a.Modified {
			out = "?? modified\n"
		}
	case "version":
		out = "git version 2.50.0\n"
	case "config":
		if len(a.Hash) != 64 || !has("extensions.objectformat") {
			return fmt.Errorf("%s is not set", last)
		}
		out = "sha256\n"
	case "log":
		if !has("--format=%H:%ct") {
			return a.log(argv, w)
		}
		out = a.Hash + ":" + strconv.FormatInt(a.Time, 10) + "\n"
	case "tag":
		out = lines("", a.Tags) + lines("", a.Ancestors)
	case "for-each-ref":
		out = lines("refs/tags/", a.Tags) + lines("refs/tags/", a.Ancestors)
	case "cat-file":
		rev, file, _ := strings.Cut(last, ":")
		p, ok := a.Mods[file]
		if !ok || !a.isCommit(rev) {
			return fmt.Errorf("the commit has no %s", last)
		}
		if p != "" {
			out = "module " + p + "\n"
		}
	case "merge-base":
	default:
		return fmt.Errorf("this is airbuild's stand-in, which does not know git %s", argv[0])
	}
	_, err := io.WriteString(w, out)
	return err
}

// log answers what a revision is: "HASH TIME tag: A, tag: B".
func (a *Answers) log(argv []string, w io.Writer) error {
	i := slices.Index(argv, "--end-of-options")
	if a.Silent || i < 0 || i+1 == len(argv) || !a.isCommit(argv[i+1]) {
		return fmt.Errorf("unknown revision")
	}
	var tags []string
	for _, tag := range a.Tags {
		tags = append(tags, "tag: "+tag)
	}
	_, err := fmt.Fprintf(w, "%s %d %s", a.Hash, a.Time, strings.Join(tags, ", "))
	return err
}

// isCommit reports whether a revision is the commit: its hash, the beginning of it, or
// a tag that it has.
func (a *Answers) isCommit(rev string) bool {
	return len(rev) >= 7 && strings.HasPrefix(a.Hash, rev) || slices.Contains(a.Tags, strings.TrimPrefix(rev, "refs/tags/"))
}

func lines(prefix string, list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(prefix + s + "\n")
	}
	return b.String()
}
