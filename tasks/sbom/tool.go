package sbom

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/gobinary"
)

// runTool writes the bills of materials of a spec.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	sums, err := gobinary.Sums(call.In, sp.Sums...)
	if err != nil {
		return err
	}
	lic, err := readFound(call.In, sp)
	if err != nil {
		return err
	}
	for _, f := range sp.Files {
		what, err := gobinary.Find(ctx, call.In, f.Path)
		if err != nil {
			return err
		}
		if len(what.Programs) == 0 {
			return fmt.Errorf("describe %s: it has no Go build information; it was not built by Go, or was compressed (as by upx)", f.Path)
		}
		d := newBill(sp, f.Path, what, sums, lic)
		if err := d.write(call, f); err != nil {
			return fmt.Errorf("describe %s: %w", f.Path, err)
		}
		if _, err := fmt.Fprintf(call.Log, "%s: %s, %s, %d of unknown licence\n", f.Path, count(len(d.programs), "program"), count(len(d.modules), "module"), d.unknown()); err != nil {
			return err
		}
	}
	return nil
}

// count is a number of things in words: "1 program", "2 programs".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// licenses are SPDX expressions by module, as found and as the user says.
type licenses struct {
	found map[string]string // by path@version; of the project itself by ""
	said  map[string]string
}

// of is a module's licence, and whether the user said so.
func (l *licenses) of(m gobinary.Module, own bool) (expression string, said bool) {
	for _, key := range []string{m.String(), m.Path} {
		if e, ok := l.said[key]; ok {
			return e, true
		}
	}
	switch {
	case own:
		return l.found[""], false
	case m.Path == stdlib:
		return "BSD-3-Clause", false
	}
	return l.found[m.String()], false
}

// stdlib is what the standard library is called as a module.
const stdlib = "stdlib"

func readFound(in fs.FS, sp *spec) (*licenses, error) {
	l := &licenses{found: map[string]string{}, said: map[string]string{}}
	for _, p := range sp.Said {
		l.said[p.Name] = p.Value
	}
	b, err := fs.ReadFile(in, sp.Licenses)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	var list []license
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", sp.Licenses, err)
	}
	for _, x := range list {
		l.found[x.Module] = x.Expression
	}
	return l, nil
}

// A bill is what both forms say.
type bill struct {
	sp       *spec
	name     string // of the file
	kind     string // "application", "container", "file"
	sha256   string
	version  string
	programs []program
	modules  []part // of all programs, sorted, each once
}

// A program is one that was found, with the places of its modules in the bill.
type program struct {
	gobinary.Program
	main part
	uses []string // ids of modules, sorted
}

// A part is a module with all that is said of it.
type part struct {
	gobinary.Module
	license string
	said    bool
}

func newBill(sp *spec, name string, what *gobinary.File, sums map[string]string, lic *licenses) *bill {
	d := &bill{sp: sp, name: path.Base(name), sha256: what.SHA256, kind: "file", version: sp.Version}
	switch {
	case len(what.Programs) == 1 && what.Programs[0].Path == "" && !what.Dir && what.Programs[0].SHA256 == what.SHA256:
		d.kind = "application"
	case what.Image:
		d.kind = "container"
	}
	seen := map[string]bool{}
	for _, p := range what.Programs {
		own := gobinary.Module{Path: cmp.Or(p.Info.Main.Path, p.Info.Path), Version: sp.Version}
		if own.Version == "" && p.Info.Main.Version != "(devel)" {
			own.Version = p.Info.Main.Version
		}
		d.version = cmp.Or(d.version, own.Version)
		x := program{Program: p}
		x.main.Module = own
		x.main.license, x.main.said = lic.of(own, true)
		for _, m := range append(p.Modules(sums), p.Go()) {
			id := m.PURL()
			x.uses = append(x.uses, id)
			if seen[id] {
				continue
			}
			seen[id] = true
			y := part{Module: m}
			y.license, y.said = lic.of(m, false)
			d.modules = append(d.modules, y)
		}
		x.uses = lists.Unique(x.uses)
		d.programs = append(d.programs, x)
	}
	slices.SortFunc(d.modules, func(a, b part) int { return strings.Compare(a.PURL(), b.PURL()) })
	return d
}

func (d *bill) unknown() (n int) {
	for _, m := range d.modules {
		if m.license == "" {
			n++
		}
	}
	return n
}

// id names a program inside the bill.
func (p *program) id() string { return "program:" + p.SHA256 + ":" + p.Path }

// created is the source's time.
func (d *bill) created() string { return time.Unix(d.sp.Time, 0).UTC().Format(time.RFC3339) }

func (d *bill) write(call *engine.ToolCall, f file) error {
	for _, form := range []struct {
		name   string
		encode func() ([]byte, error)
	}{{f.CycloneDX, d.cycloneDX}, {f.SPDX, d.spdx}} {
		if form.name == "" {
			continue
		}
		b, err := form.encode()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(call.Dir, filepath.FromSlash(form.name)), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// identity is a UUID of version 5 for bytes: the same for the same.
func identity(b []byte) string {
	// The name space is the one of URLs, and the name an address of ours with
	// the content behind it.
	space, _ := hex.DecodeString("6ba7b8119dad11d180b400c04fd430c8")
	h := sha1.New()
	h.Write(space)
	h.Write([]byte("https://github.com/airbuild/airbuild/sbom#"))
	h.Write(b)
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
