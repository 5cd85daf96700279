package gocache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/lists"
)

// The go command's ActionID of a package knows the files of the package's own
// directory, the flags and the version of the C compiler. It does not know what
// C and assembly include from elsewhere, the headers of the system, or
// libraries. The engine's key of a step has them (engine.Unseen names the
// packages), so an entry of such a package is kept under the ActionID and a
// Salt, which says what these files were.
//
// Which package an ActionID belongs to is only known when the go command has
// ended, from its action graph. So a go command of such a step puts everything
// under the salt of the whole step; afterwards an entry of a package that
// depends on nothing else is recorded without a salt, for everyone, and one of
// a package with such files under the salt of these files alone. All other
// entries (facts of vet, results of tests) keep the salt of the step.
//
// go vet reads files that are excluded on the platform, and its ids do not know them
// either (engine.Unseen.Checks). What it found is kept under a salt of its own, for the
// whole step; compiled packages are not concerned.
//
// The user's own GOCACHE knows no salts: of it only packages that consist of Go
// alone are used, and nothing is put there.

// salts are those of a step: the first is the whole step's, the others are of
// its parts. Nil if all that the go command uses is in its ActionIDs.
type salts struct {
	step  Salt
	parts map[string]Salt // by package; the zero Salt is of one that nobody may share
	// checks is for what go vet found; zero if its ids say all.
	checks Salt
}

// maxParts is how many salts of parts are looked up for each ActionID.
const maxParts = 32

func newSalts(unseen []engine.Unseen) *salts {
	if len(unseen) == 0 {
		return nil
	}
	s := &salts{parts: map[string]Salt{}}
	all, checks := sha256.New(), sha256.New()
	checked := false
	for _, u := range unseen {
		if u.Checks {
			fmt.Fprintf(checks, "%q %s\n", u.Part, u.Digest)
			checked = true
			continue
		}
		if u.Digest.IsZero() {
			var once Salt
			rand.Read(once[:])
			all.Write(once[:])
			s.parts[u.Part] = Salt{}
			continue
		}
		salt := Salt(sha256.Sum256(fmt.Appendf(nil, "%q %s\n", u.Part, u.Digest)))
		s.parts[u.Part] = salt
		all.Write(salt[:])
	}
	if len(s.parts) > 0 {
		s.step = Salt(all.Sum(nil))
	}
	if checked {
		checks.Write(s.step[:])
		s.checks = Salt(checks.Sum(nil))
	}
	return s
}

// list is what a Server gets: first the step's salt.
func (s *salts) list() []Salt {
	if s == nil || len(s.parts) == 0 {
		return nil
	}
	list := []Salt{s.step}
	for _, p := range s.parts {
		if p != (Salt{}) && len(list) <= maxParts {
			list = append(list, p)
		}
	}
	return list
}

// of returns the salt for entries of a package, and whether it may have one
// other than the step's.
func (s *salts) of(pkg string) (Salt, bool) {
	pkg, _, _ = strings.Cut(pkg, " ") // "p [q.test]" is p, compiled for a test
	salt, unseen := s.parts[pkg]
	return salt, !unseen || salt != (Salt{})
}

// FormatSalts writes salts for a command line.
func FormatSalts(list []Salt) string {
	return strings.Join(lists.Map(list, func(s Salt) string { return hex.EncodeToString(s[:]) }), ",")
}

// ParseSalts is the inverse of FormatSalts.
func ParseSalts(text string) ([]Salt, error) {
	if text == "" {
		return nil, nil
	}
	var list []Salt
	for word := range strings.SplitSeq(text, ",") {
		h, err := action.ParseHash(word)
		if err != nil {
			return nil, fmt.Errorf("salt %q: %w", word, err)
		}
		list = append(list, Salt(h))
	}
	return list, nil
}

// graphName is the file of a session in which the go command leaves its action
// graph.
const graphName = "actions.json"

// owners returns the packages that the actions of a go command compiled, by the
// first 20 characters in which the go command writes an ActionID. None if the
// go command left no graph.
func owners(dir string) (map[string]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, graphName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the action graph: %w", err)
	}
	var graph []struct{ Mode, Package, ActionID string }
	if err := json.Unmarshal(b, &graph); err != nil {
		return nil, fmt.Errorf("read the action graph: %w", err)
	}
	pkgs := map[string]string{}
	for _, a := range graph {
		if a.Mode == "build" && a.Package != "" && a.ActionID != "" {
			pkgs[a.ActionID] = a.Package
		}
	}
	return pkgs, nil
}

// short is how the go command writes an ActionID in its graph.
func (id ActionID) short() string { return base64.RawURLEncoding.EncodeToString(id[:15]) }

// share records entries that were put under the salt of the step under that of
// their package, or without one. It returns what a record names them by.
func (s *salts) share(ctx context.Context, st engine.Store, dir string, apart map[ActionID]Kind) ([]ActionID, error) {
	pkgs, err := owners(dir)
	if err != nil {
		return nil, err
	}
	var shared []ActionID
	for id := range apart {
		pkg, ok := pkgs[id.short()]
		if !ok {
			continue
		}
		salt, ok := s.of(pkg)
		if !ok {
			continue
		}
		if salt == (Salt{}) {
			shared = append(shared, id)
		} else {
			shared = append(shared, id.salted(salt))
		}
		to := keyOf(id, salt)
		if old, err := st.Result(ctx, to); err == nil && old != nil {
			continue
		}
		r, err := st.Result(ctx, keyOf(id, s.step))
		if err != nil || r == nil {
			continue // lost meanwhile
		}
		if err := st.PutResult(ctx, to, r); err != nil {
			return shared, fmt.Errorf("share package: %w", err)
		}
	}
	return shared, nil
}

// goOnly reports whether an object is a compiled package that consists of Go
// alone: an archive of what the compiler wrote, without an object of an
// assembler or a C compiler, which every package with files of theirs has.
func goOnly(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 60) // of a member: 16 bytes name, …, 10 bytes size, 2 bytes end
	if _, err := io.ReadFull(f, head[:len(packageMagic)]); err != nil || string(head[:len(packageMagic)]) != string(packageMagic) {
		return false
	}
	for members := 0; ; members++ {
		_, err := io.ReadFull(f, head)
		if err == io.EOF {
			return members == 2
		}
		if err != nil {
			return false
		}
		switch strings.TrimRight(string(head[:16]), " ") {
		case "__.PKGDEF", "_go_.o":
		default:
			return false
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
		if err != nil || size < 0 {
			return false
		}
		if _, err := f.Seek(size+size&1, io.SeekCurrent); err != nil {
			return false
		}
	}
}
